/**
 * Why did it (not) ring: a search, and a timeline for each message.
 * @module
 */
/** @import {Changes, Found, Trace} from './hub.js' */
import { address, box, check, el, field, fill, keyed, moment, query, select, soon } from './dom.js';
import { get, Refused } from './hub.js';
import { historyOf, wasSeen } from './timeline.js';
import { kindWords, problem, reason, reasons, reasonsOf, t } from './words.js';

const PAGE = 25;
const QUICK = 300; // ms: a search that was so quick is made again by itself
const LOOKS = 20; // of 2,000 messages, one after the other
const BY = ['device', 'agent', 'message', 'conversation'];
const CODE = /^\s*[A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4}\s*$/i; // a device's
const NO_LONGER = ['read', 'read_elsewhere', 'answered']; // reasons of ends

/** @param {HTMLElement} panel */
export function startWhy(panel) {
  const by = select(Object.fromEntries(BY.map((b) => [b, t(b)])), 'message');
  const words = input('');
  words.setAttribute('autocapitalize', 'none');
  const why = select({ '': t('anyReason'), ...reasons() }, '');
  const team = input(t('anyTeam'));
  const until = /** @type {HTMLInputElement} */ (el('input', { type: 'datetime-local', step: '60', max: '9999-12-31T23:59' }));
  const nobody = box(false);
  const text = box(false);
  const reset = el('button', { type: 'button' }, t('reset'));
  const form = /** @type {HTMLFormElement} */ (el('form.search.card', { role: 'search' },
    field(t('searchBy'), by), field(t('searchFor'), words, 'words'), field(t('reason'), why), field(t('team'), team), field(t('until'), until),
    el('div.checks', {}, check(t('onlyNobody'), nobody), check(t('withText'), text), el('span.grow'), reset, el('button.main', { type: 'submit' }, t('search')))));
  const list = el('div.list', { role: 'group', 'aria-label': t('results') });
  const said = el('p.soft', { role: 'status' });
  const tip = el('p.soft');
  const wrong = el('p.bad', { role: 'alert', hidden: true });
  const news = el('button', { type: 'button', hidden: true }, t('somethingNew'));
  const further = el('button', { type: 'button', hidden: true });
  const title = el('h2', { tabIndex: -1 }, t('history'));
  const told = el('p.unseen', { role: 'status' });
  const body = el('div', {}, el('p.soft', {}, t('pick')));
  const detail = el('article.card', { 'aria-label': t('history') }, title, told, body);
  panel.append(form, el('div.two', {}, el('div', {}, news, wrong, list, said, tip, further), detail));

  /** @param {string} placeholder */
  function input(placeholder) {
    return /** @type {HTMLInputElement} */ (el('input', { type: 'text', placeholder, maxLength: 128, autocomplete: 'off' }));
  }
  const hint = () => (words.placeholder = t({ device: 'forDevice', agent: 'forAgent', message: 'forMessage', conversation: 'forConversation' }[by.value] ?? ''));
  by.addEventListener('change', hint);
  words.addEventListener('input', () => {
    if (!CODE.test(words.value)) return;
    by.value = 'device';
    hint();
  });
  hint();

  /** @type {Trace[]} */
  let traces = [];
  /** @type {Found} what is known of names */
  let known = { traces: [], looked: 0, agents: {}, devices: {} };
  /** @type {string | undefined} where to go on */
  let before;
  let looked = 0;
  let paged = false;
  let looking = false;
  let took = 0;
  let asked = 0;
  let searched = ''; // what the list is of
  /** @type {{conversation: string, message: string} | null} */
  let chosen = null;
  let shown = ''; // what is told of it

  /** @param {Trace} a @param {{conversation: string, message: string} | null} b */
  const same = (a, b) => b !== null && a.message.conversation === b.conversation && a.message.id === b.message;

  /** @returns {Record<string, string>} what the address says of the search */
  const values = () => ({
    [by.value]: words.value.trim(), reason: why.value, team: team.value.trim(), until: until.value,
    reached_nobody: nobody.checked ? 'true' : '', text: text.checked ? 'true' : '',
  });
  const say = () => address('why', { ...values(), ...(chosen ? { in: chosen.conversation, shown: chosen.message } : {}) });

  /** @param {Found} found */
  function learn(found) {
    known = { ...known, agents: { ...known.agents, ...found.agents }, devices: { ...known.devices, ...found.devices } };
  }

  /** @param {boolean} older goes on behind what is listed */
  async function search(older) {
    const mine = ++asked;
    const start = performance.now();
    const { until: last, ...rest } = values();
    searched = JSON.stringify(values());
    if (!older) before = last ? new Date(new Date(last).getTime() + 60_000).toISOString() : '';
    wrong.hidden = news.hidden = true;
    tip.textContent = '';
    const goal = (older ? traces.length : 0) + PAGE;
    let [all, n] = older ? [traces, looked] : [/** @type {Trace[]} */ ([]), 0];
    if (!older && traces.length === 0) said.textContent = t('busy');
    looking = true;
    try {
      for (let i = 0; i < LOOKS && all.length < goal && (i === 0 || before); i++) {
        const found = /** @type {Found} */ (await patiently(() => get('/v1/traces', { ...rest, before: before ?? '', names: 'true', limit: String(goal - all.length) })));
        if (mine !== asked) return;
        learn(found);
        all = [...all, ...found.traces];
        n += found.looked;
        before = found.before;
        if (i === 0 && !before) break;
        [traces, looked] = [all, n];
        showList();
      }
      [traces, looked] = [all, n];
      took = performance.now() - start;
      looking = false;
      paged = older;
      showList();
      if (!chosen && by.value === 'message' && words.value && traces.length === 1) choose(traces[0]);
      else if (chosen) {
        const again = traces.find((x) => same(x, chosen));
        if (again) tell(again);
        else void refresh();
      }
    } catch (e) {
      if (mine !== asked) return;
      looking = false;
      said.textContent = '';
      if (e instanceof Refused && e.code === 'no_text') text.checked = false;
      wrong.textContent = problem(e);
      wrong.hidden = false;
      showFurther();
    }
  }

  /** Tries again where too many search. @template T @param {() => Promise<T>} f @returns {Promise<T>} */
  async function patiently(f) {
    for (let i = 0; ; i++) {
      try {
        return await f();
      } catch (e) {
        if (i === 3 || !(e instanceof Refused) || e.code !== 'busy') throw e;
        await new Promise((done) => setTimeout(done, 1_000 + 500 * Math.random()));
      }
    }
  }

  /** What is searched for, in words. */
  function what() {
    const v = words.value.trim();
    return [
      v && t({ device: 'isDevice', agent: 'isAgent', message: 'isMessage', conversation: 'isConversation' }[by.value] ?? '', { v }),
      why.value && t('isReason', { v: reason(why.value) }), team.value.trim() && t('isTeam', { v: team.value.trim() }), nobody.checked && t('isNobody'),
      until.value && t('isUntil', { v: moment(until.value) }),
    ].filter(Boolean).join(t('and'));
  }

  /**
   * What came of a message.
   * @param {Trace} x
   * @returns {{kind: string, words: string, verdict: string, causes?: string}} causes: of what nobody was told
   */
  function outcome(x) {
    if (x.pending) return { kind: 'wait', words: t('onItsWay'), verdict: t('verdictPending') };
    if (x.reached_nobody) {
      const causes = reasonsOf(x.causes);
      return { kind: 'wrong', words: t('reachedNobody'), verdict: t('verdictNobody', { causes }), causes };
    }
    if (x.reached && !x.deliveries.some(wasSeen)) return { kind: 'doubt', words: t('doubt'), verdict: t('verdictDoubt') };
    if (x.reached) return { kind: 'good', words: t('reached'), verdict: t('verdictReached') };
    if (x.deliveries.some((d) => d.end === 'merged')) return { kind: 'calm', words: t('merged'), verdict: t('verdictMerged') };
    const stayed = x.deliveries.filter((d) => d.end_reason !== 'reassigned');
    const unsent = stayed.filter((d) => d.end !== 'none' && d.end !== 'failed');
    if (stayed.length === 0 || unsent.some((d) => NO_LONGER.includes(d.end_reason ?? ''))) return { kind: 'calm', words: t('quiet'), verdict: t('verdictQuiet') };
    const causes = reasonsOf((unsent.length ? unsent : stayed).map((d) => d.end_reason ?? ''));
    return { kind: 'wrong', words: t('notSent'), verdict: t(unsent.length ? 'verdictNotSent' : 'verdictMoved', { causes }), causes };
  }

  /** @param {Trace} x */
  function assigned({ message: m }) {
    if (m.assignment.agent) return known.agents?.[m.assignment.agent] ?? m.assignment.agent;
    return m.assignment.team ? `${t('team')} ${m.assignment.team}` : t('nobody');
  }

  function showList() {
    keyed(list, traces, {
      id: (x) => JSON.stringify([x.message.conversation, x.message.id]),
      as: (x) => [outcome(x), assigned(x), same(x, chosen), moment(x.message.accepted)],
      make: (x) => {
        const button = el('button.found', { type: 'button' });
        button.addEventListener('click', () => {
          choose(traces.find((now) => same(now, { conversation: x.message.conversation, message: x.message.id })) ?? x);
          if (!matchMedia('(max-width: 900px)').matches) return;
          detail.scrollIntoView({ block: 'start' });
          title.focus({ preventScroll: true });
        });
        return button;
      },
      update: (e, x) => {
        const { kind, words, causes } = outcome(x);
        e.setAttribute('aria-current', String(same(x, chosen)));
        e.replaceChildren(
          el('span.top', {}, el('b.grow', {}, x.message.contact || x.message.conversation), el(`span.badge.${kind}`, {}, words)),
          causes ? el('span.bad', {}, causes, el('br')) : '',
          el('span.soft', {}, `${moment(x.message.accepted)} · ${kindWords(x.message.kind)} · → `, el('bdi', {}, assigned(x)), el('br'), el('span.id', {}, x.message.id)));
      },
    });
    const n = before ? t('lookedBack', { n: looked, t: moment(before) }) : t('looked', { n: looked });
    const empty = traces.length === 0 && !looking;
    said.textContent = !empty ? n : `${what() ? t('noneFound', { what: what() }) : t('noneAtAll')} ${n}`;
    const tips = [words.value.trim() && { device: 'tipDevice', agent: 'tipAgent', message: 'tipMessage', conversation: 'tipConversation' }[by.value], team.value.trim() && 'tipTeam'];
    tip.textContent = empty ? tips.filter(Boolean).map((name) => t(String(name))).join(' ') : '';
    showFurther();
  }

  function showFurther() {
    further.hidden = !before;
    further.textContent = looking ? t('stop') : t('lookFurther');
  }

  /** @param {Trace} x */
  function choose(x) {
    chosen = { conversation: x.message.conversation, message: x.message.id };
    shown = '';
    title.textContent = x.message.contact || x.message.conversation;
    tell(x);
    say();
    showList();
  }

  function forget() {
    chosen = null;
    shown = told.textContent = '';
    title.textContent = t('history');
    body.replaceChildren(el('p.soft', {}, t('pick')));
  }

  /** Tells what happened to the chosen message, where it is not told already. @param {Trace} x */
  function tell(x) {
    const now = JSON.stringify([x, text.checked, values()[by.value]]);
    if (now === shown) return;
    shown = now;
    title.textContent = x.message.contact || x.message.conversation;
    const { kind, verdict } = outcome(x);
    if (told.textContent !== verdict) told.textContent = verdict;
    const mine = by.value === 'agent' || by.value === 'device' ? words.value.trim() : '';
    fill(body, [el('p', { className: `verdict ${kind}` }, verdict), ...historyOf(x, known, { mine, assigned: assigned(x), text: text.checked })]);
  }

  async function refresh() {
    const ref = chosen;
    if (!ref) return;
    try {
      const found = /** @type {Found} */ (await get('/v1/traces', { ...ref, names: 'true', text: text.checked ? 'true' : '', limit: '1' }));
      if (chosen !== ref) return;
      if (found.traces.length === 0) {
        body.replaceChildren(el('p.soft', {}, t('goneMessage')));
        return;
      }
      learn(found);
      const old = traces.findIndex((x) => same(x, ref));
      if (old >= 0) traces[old] = found.traces[0];
      tell(found.traces[0]);
      showList();
    } catch {
      // The next change, or the next search, says what is wrong.
    }
  }
  const refreshSoon = soon(() => void refresh(), 150);
  const searchSoon = soon(() => void search(false), 1_000);

  form.addEventListener('submit', (e) => {
    e.preventDefault();
    forget();
    say();
    void search(false);
  });
  reset.addEventListener('click', () => {
    words.value = why.value = team.value = until.value = '';
    nobody.checked = text.checked = false;
    form.requestSubmit();
    words.focus();
  });
  for (const control of [why, nobody, text]) control.addEventListener('change', () => form.requestSubmit());
  further.addEventListener('click', () => {
    if (!looking) return void search(true);
    asked++;
    looking = false;
    paged = true;
    showList();
  });
  news.addEventListener('click', () => void search(false));

  return {
    /** Searches for what the address says, #why?device=ABCD-EFGH&reason=page_closed for one, and shows the message it names. */
    fromAddress() {
      const q = query('why');
      const name = BY.find((b) => q.get(b)) ?? by.value;
      [by.value, words.value] = [name, q.get(name) ?? ''];
      hint();
      why.value = q.get('reason') ?? '';
      team.value = q.get('team') ?? '';
      until.value = q.get('until') ?? '';
      nobody.checked = q.get('reached_nobody') === 'true';
      text.checked = q.get('text') === 'true';
      const [conversation, message] = [q.get('in') ?? '', q.get('shown') ?? ''];
      if (conversation !== (chosen?.conversation ?? '') || message !== (chosen?.message ?? '')) {
        forget();
        if (conversation && message) {
          chosen = { conversation, message };
          void refresh();
        }
        showList();
      }
      if (searched !== JSON.stringify(values())) void search(false);
    },
    /** @param {Changes} c */
    changed(c) {
      const mine = chosen;
      if (mine && (c.more || c.messages.some((ref) => ref.conversation === mine.conversation && ref.message === mine.message))) refreshSoon();
      if (!c.more && c.messages.length === 0) return;
      if (c.messages.length > 0 && c.messages.every((ref) => traces.some((x) => same(x, ref) && same(x, mine)))) return;
      if (!paged && !looking && took < QUICK && !panel.hidden) searchSoon();
      else if (!looking) news.hidden = false;
    },
  };
}
