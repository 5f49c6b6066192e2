/**
 * Why did it (not) ring: a search, and a timeline for each message.
 * @module
 */
/** @import {Changes, Delivery, Found, Trace} from './hub.js' */
import { box, check, el, field, moment, select, soon } from './dom.js';
import { get, Refused } from './hub.js';
import { decided, end, happening, kindWords, locale, reason, reasons, t } from './words.js';

const PAGE = 25;
const LOGINS = 100; // shown of one message
const QUICK = 300; // ms: a search that was so quick is made again by itself

/** @param {HTMLElement} panel */
export function startWhy(panel) {
  const by = select({ device: t('device'), agent: t('agent'), message: t('message'), conversation: t('conversation') }, 'message');
  const words = /** @type {HTMLInputElement} */ (el('input', { type: 'text', placeholder: t('anything'), maxLength: 128, autocomplete: 'off' }));
  words.setAttribute('autocapitalize', 'none');
  const why = select({ '': t('anyReason'), ...reasons() }, '');
  const team = /** @type {HTMLInputElement} */ (el('input', { type: 'text', placeholder: t('anyTeam'), maxLength: 128, autocomplete: 'off' }));
  const nobody = box(false);
  const text = box(false);
  const form = /** @type {HTMLFormElement} */ (el('form.search.card', { role: 'search' },
    field(t('searchBy'), by), field(t('searchFor'), words, 'words'), field(t('reason'), why), field(t('team'), team),
    el('button.main', { type: 'submit' }, t('search')),
    el('div.checks', {}, check(t('onlyNobody'), nobody), check(t('withText'), text))));
  const list = el('div.list');
  const said = el('p.soft', { role: 'status' });
  const wrong = el('p.bad', { role: 'alert', hidden: true });
  const news = el('button', { type: 'button', hidden: true }, t('somethingNew'));
  const further = el('button', { type: 'button', hidden: true }, t('lookFurther'));
  const detail = el('article.card', { 'aria-live': 'polite' }, el('p.soft', {}, t('pick')));
  panel.append(form, el('div.two', {}, el('div', {}, news, wrong, list, said, further), detail));

  /** @type {Trace[]} */
  let traces = [];
  /** @type {Found} what is known of names */
  let known = { traces: [], looked: 0, agents: {}, devices: {} };
  /** @type {string | undefined} */
  let before;
  let looked = 0;
  let paged = false;
  let took = 0;
  let asked = 0;
  /** @type {Trace | null} */
  let chosen = null;

  /** @param {string | undefined} id */
  const agentName = (id) => (id && known.agents?.[id]) || id || '';
  /** @param {Trace} a @param {{conversation: string, message: string}} b */
  const same = (a, b) => a.message.conversation === b.conversation && a.message.id === b.message;

  function query() {
    return {
      [by.value]: words.value.trim(), reason: why.value, team: team.value.trim(),
      reached_nobody: nobody.checked ? 'true' : '', text: text.checked ? 'true' : '', names: 'true', limit: String(PAGE),
    };
  }

  /** @param {Found} found */
  function learn(found) {
    known = { ...known, agents: { ...known.agents, ...found.agents }, devices: { ...known.devices, ...found.devices } };
  }

  /** @param {boolean} older */
  async function search(older) {
    const mine = ++asked;
    const start = performance.now();
    said.textContent = t('busy');
    wrong.hidden = true;
    news.hidden = true;
    try {
      const found = /** @type {Found} */ (await get('/v1/traces', { ...query(), before: older ? before ?? '' : '' }));
      if (mine !== asked) return;
      took = performance.now() - start;
      paged = older;
      learn(found);
      traces = older ? [...traces, ...found.traces] : found.traces;
      looked = older ? looked + found.looked : found.looked;
      before = found.before;
      showList();
      const again = chosen && traces.find((x) => chosen && same(x, { conversation: chosen.message.conversation, message: chosen.message.id }));
      if (again) choose(again);
      else if (!older && by.value === 'message' && words.value && traces.length === 1) choose(traces[0]);
    } catch (e) {
      if (mine !== asked) return;
      said.textContent = '';
      wrong.textContent = e instanceof Refused ? e.message : t('unreachableHub');
      wrong.hidden = false;
    }
  }

  /** @param {Trace} x @returns {[kind: string, words: string]} */
  function outcome(x) {
    if (x.pending) return ['wait', t('onItsWay')];
    if (x.reached_nobody) return ['wrong', t('reachedNobody')];
    if (x.reached || x.deliveries.some((d) => d.end === 'merged')) return ['good', t('reached')];
    return ['calm', t('quiet')];
  }

  /** @param {Trace} x */
  function assigned({ message: m }) {
    if (m.assignment.agent) return agentName(m.assignment.agent);
    return m.assignment.team ? `${t('team')} ${m.assignment.team}` : t('nobody');
  }

  function showList() {
    list.replaceChildren(...traces.map((x) => {
      const [kind, words] = outcome(x);
      const button = el('button.found', { type: 'button', 'aria-current': String(x === chosen) },
        el('span.top', {}, el('b.grow', {}, x.message.contact || x.message.conversation), el(`span.badge.${kind}`, {}, words)),
        x.reached_nobody && el('span.bad', {}, (x.causes ?? []).map(reason).join(', '), el('br')),
        el('span.soft', {}, `${moment(x.message.accepted)} · ${kindWords(x.message.kind)} · → ${assigned(x)}`, el('br'), el('span.id', {}, x.message.id)));
      button.addEventListener('click', () => {
        choose(x);
        if (matchMedia('(max-width: 900px)').matches) detail.scrollIntoView({ block: 'start' });
      });
      return button;
    }));
    said.textContent = [traces.length === 0 && t('noneFound'), t('looked', { n: looked })].filter(Boolean).join(' ');
    further.hidden = !before;
  }

  /** @param {Trace} x */
  function choose(x) {
    chosen = x;
    traces = traces.map((o) => (same(o, { conversation: x.message.conversation, message: x.message.id }) ? x : o));
    for (const [i, b] of [...list.children].entries()) b.setAttribute('aria-current', String(traces[i] === x));
    const m = x.message;
    const [kind] = outcome(x);
    const verdict = {
      wrong: t('verdictNobody', { causes: (x.causes ?? []).map(reason).join(', ') }), good: t('verdictReached'), wait: t('verdictPending'), calm: t('verdictQuiet'),
    }[kind];
    const mine = by.value === 'agent' || by.value === 'device' ? words.value.trim() : '';
    const deliveries = [...x.deliveries].sort((a, b) => Number(meant(b, mine)) - Number(meant(a, mine)));
    detail.replaceChildren(
      el('h2', {}, m.contact || m.conversation),
      el('p', { className: `verdict ${kind}` }, verdict ?? ''),
      el('dl.facts', {},
        ...[
          [t('message'), m.id], [t('conversation'), `${m.conversation} (${m.seq})`], [t('assignedTo'), assigned(x)], [t('kind'), kindWords(m.kind)],
          [t('sent'), moment(m.sent)], ...(text.checked ? [[t('text'), m.text || t('erased')]] : []),
        ].flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])),
      ...deliveries.slice(0, LOGINS).map((d) => login(x, d)),
      deliveries.length > LOGINS && el('p.soft', {}, t('moreLogins', { n: deliveries.length - LOGINS })) || '');
  }

  /** @param {Delivery} d @param {string} who */
  function meant(d, who) {
    return who !== '' && (d.agent === who || d.device === who || known.devices?.[d.device ?? '']?.code.replace('-', '') === who.toUpperCase().replace('-', ''));
  }

  /** @param {Trace} x @param {Delivery} d */
  function login(x, d) {
    const device = d.device ? known.devices?.[d.device] : undefined;
    const title = el('h3', {}, agentName(d.agent) || t('nobody'));
    if (d.device) title.append(' · ', device ? device.label || device.code : t('deviceLeft'), ' ', el('code', {}, device?.code ?? ''));
    return el('section.login', {}, title, el('ol.timeline', {}, ...steps(x, d)));
  }

  /** @param {Trace} x @param {Delivery} d */
  function steps(x, d) {
    const start = Date.parse(x.message.accepted);
    /** @param {string | undefined} at @param {string} kind @param {string} what @param {string} [more] */
    const step = (at, kind, what, more) => el(`li.${kind}`, {},
      at ? el('time', { dateTime: at, title: at }, moment(at), ` ${offset(Date.parse(at) - start)}`) : el('span'),
      el('span', {}, what, more ? el('span.soft', {}, ` – ${more}`) : ''));
    /** @param {string} channel */
    const tone = (channel) => (channel === 'none' ? 'wrong' : 'good');
    const out = [step(x.message.accepted, 'good', t('tAccepted'))];
    const first = d.first ?? d;
    out.push(step(x.decided, tone(first.channel), t(d.first ? 'tAtFirst' : 'tDecided', decided(first))));
    for (const e of [...(d.events ?? [])].sort((a, b) => a.at.localeCompare(b.at))) {
      if (e.kind === 'redecided') out.push(step(e.at, d.first ? tone(d.channel) : 'wait', d.first ? t('tRedecided', decided(d)) : happening(e.kind), e.detail));
      else out.push(step(e.at, e.kind === 'retry' || e.kind === 'push_queued' ? 'wait' : 'good', happening(e.kind), e.detail));
    }
    if (!d.end) out.push(step(undefined, 'wait', t('tWaiting')));
    else if (d.end !== 'none') {
      const bad = d.end === 'failed' || d.end === 'expired';
      out.push(step(d.ended, bad ? 'wrong' : 'good', t('tEnd', { end: end(d.end) }), d.end_reason && d.end_reason !== d.reason ? reason(d.end_reason) : ''));
    }
    return out;
  }

  /** @param {number} ms */
  function offset(ms) {
    return `+${(ms / 1000).toLocaleString(locale(), { maximumFractionDigits: ms < 10_000 ? 2 : 0 })} s`;
  }

  async function refresh() {
    if (!chosen) return;
    const ref = { conversation: chosen.message.conversation, message: chosen.message.id };
    try {
      const found = /** @type {Found} */ (await get('/v1/traces', { ...ref, names: 'true', text: text.checked ? 'true' : '', limit: '1' }));
      if (found.traces.length !== 1 || !chosen || !same(chosen, ref)) return;
      learn(found);
      const old = traces.findIndex((x) => same(x, ref));
      if (old >= 0) traces[old] = found.traces[0];
      choose(found.traces[0]);
      showList();
    } catch {
      // The next change, or the next search, says what is wrong.
    }
  }
  const refreshSoon = soon(() => void refresh(), 150);
  const searchSoon = soon(() => void search(false), 1_000);

  form.addEventListener('submit', (e) => {
    e.preventDefault();
    chosen = null;
    detail.replaceChildren(el('p.soft', {}, t('pick')));
    void search(false);
  });
  for (const control of [why, nobody, text]) control.addEventListener('change', () => form.requestSubmit());
  further.addEventListener('click', () => void search(true));
  news.addEventListener('click', () => void search(false));

  return {
    /** Searches for what the address says: #why?device=ABCD-EFGH, or agent, message, conversation, reason, team. */
    fromAddress() {
      const q = new URLSearchParams(location.hash.split('?')[1] ?? '');
      for (const name of ['device', 'agent', 'conversation', 'message']) {
        const value = q.get(name);
        if (value) [by.value, words.value] = [name, value];
      }
      why.value = q.get('reason') ?? '';
      team.value = q.get('team') ?? '';
      void search(false);
    },
    /** @param {Changes} c */
    changed(c) {
      const mine = chosen;
      if (mine && (c.more || c.messages.some((ref) => same(mine, ref)))) refreshSoon();
      if (!c.more && c.messages.length === 0) return;
      if (c.messages.length > 0 && c.messages.every((ref) => traces.some((x) => same(x, ref) && x === mine))) return;
      if (!paged && took < QUICK && !panel.hidden) searchSoon();
      else news.hidden = false;
    },
  };
}
