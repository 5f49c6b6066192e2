/**
 * Who can be reached now: the on-duty agents, first those who can't.
 * @module
 */
/** @import {Reach, ReachAgent, ReachLogin} from './hub.js' */
import { address, box, check, el, field, fill, keyed, moment, query, soon } from './dom.js';
import { get } from './hub.js';
import { channel, decided, help, problem, reason, t } from './words.js';

const PAGE = 100;
const LOOKS = 10; // asked for one after the other until a page is full
const EVERY = 15_000;
const CALM = 1_000; // ms between two looks because something changed

/** @param {HTMLElement} panel */
export function startReach(panel) {
  const summary = el('div.summary.card');
  const team = /** @type {HTMLInputElement} */ (el('input', { type: 'text', placeholder: t('anyTeam'), maxLength: 128, autocomplete: 'off' }));
  const agent = /** @type {HTMLInputElement} */ (el('input', { type: 'text', placeholder: t('findAgent'), maxLength: 128, autocomplete: 'off' }));
  const only = box(false);
  const form = /** @type {HTMLFormElement} */ (el('form.search.narrow.card', { role: 'search' },
    field(t('find'), agent), field(t('team'), team), el('button.main', { type: 'submit' }, t('apply')), el('div.checks', {}, check(t('onlyUnreachable'), only))));
  const wrong = el('p.bad', { role: 'alert', hidden: true });
  const said = el('p.unseen', { role: 'status' });
  const none = el('p.soft');
  const lists = [section('unreachableTitle', 'lost'), section('othersTitle', 'others')];
  panel.append(form, summary, said, wrong, none, ...lists.map((s) => s.whole));

  /** @param {string} title @param {string} id */
  function section(title, id) {
    const list = el('div.agents');
    const more = el('button', { type: 'button', hidden: true }, t('more'));
    const whole = el('section.group', { id: `reach-${id}`, 'aria-labelledby': `reach-${id}-title` }, el('h2', { id: `reach-${id}-title` }, t(title)), list, more);
    const of = { whole, list, more, wanted: PAGE };
    more.addEventListener('click', () => {
      of.wanted += PAGE;
      void load();
    });
    return of;
  }

  let visible = false;
  let asked = 0;
  let shown = '';

  /** @param {boolean} unreachable @param {number} wanted @param {() => boolean} still */
  async function read(unreachable, wanted, still) {
    /** @type {ReachAgent[]} */
    const agents = [];
    /** @type {Reach | undefined} */
    let page;
    for (let i = 0; (i < LOOKS || agents.length === 0) && agents.length < wanted && (!page || page.next) && still(); i++) {
      page = /** @type {Reach} */ (await get('/v1/reach', {
        after: page?.next ?? '', limit: String(Math.min(500, wanted - agents.length)), team: team.value.trim(), agent: agent.value.trim(), unreachable: unreachable ? 'true' : '',
      }));
      agents.push(...page.agents);
    }
    return { agents, page };
  }

  async function load() {
    const mine = ++asked;
    const still = () => mine === asked;
    try {
      const lost = await read(true, lists[0].wanted, still);
      const all = only.checked ? undefined : await read(false, lists[1].wanted, still);
      if (!still() || !lost.page) return;
      tell(lost.page);
      draw(lists[0], lost);
      const known = new Set(lost.agents.map((a) => a.id));
      lists[1].whole.hidden = !all;
      if (all) draw(lists[1], { ...all, agents: all.agents.filter((a) => !known.has(a.id)) });
      const what = [agent.value.trim() && t('isAgent', { v: agent.value.trim() }), team.value.trim() && t('isTeam', { v: team.value.trim() })].filter(Boolean).join(t('and'));
      const nobody = Boolean(what) && lost.agents.length + (all?.agents.length ?? 0) === 0;
      none.textContent = nobody ? t('nobodyHere', { what }) : '';
      wrong.hidden = true;
    } catch (e) {
      if (!still()) return;
      wrong.textContent = problem(e);
      wrong.hidden = false;
    }
  }

  /** @param {typeof lists[0]} of @param {{agents: ReachAgent[], page?: Reach}} got */
  function draw(of, { agents, page }) {
    agents.sort((a, b) => (a.name || a.id).localeCompare(b.name || b.id) || a.id.localeCompare(b.id));
    of.whole.hidden = agents.length === 0;
    of.more.hidden = !page?.next;
    keyed(of.list, agents, {
      id: (a) => a.id, as: looks,
      make: (a) => el('article.card', { 'data-agent': a.id }),
      update: (e, a) => {
        e.className = `card agent ${a.cause ? 'unreachable' : a.muted ? 'muted' : 'reachable'}`;
        fill(e, person(a));
      },
    });
  }

  /** What is shown of an agent; being seen again is not. @param {ReachAgent} a */
  const looks = (a) => ({ ...a, logins: a.logins.map((l) => ({ ...l, seen: l.presence === 'closed' ? l.seen : '' })) });

  /** @param {Reach} page */
  function tell({ summary: s }) {
    const causes = Object.entries(s.unreachable).filter(([, n]) => n > 0).sort(([, a], [, b]) => b - a);
    const lost = causes.reduce((sum, [, n]) => sum + n, 0);
    fill(summary, [
      el('b', {}, s.on_duty ? t('onDuty', { n: s.on_duty }) : t('nobodyOnDuty')),
      lost ? el('b.bad', {}, t('unreachable', { n: lost })) : s.on_duty ? el('span.channel.push', {}, t('allReachable')) : '',
      ...causes.map(([cause, n]) => el('span.badge.wrong', {}, `${n} · ${reason(cause)}`)),
      s.muted ? el('span.badge.calm', {}, t('muted', { n: s.muted })) : '',
      s.whole ? '' : el('span.soft', {}, t('notAll')),
      el('span.soft', {}, t('asOf', { t: moment(s.at) }), team.value.trim() ? ` · ${t('teamAll')}` : ''),
    ]);
    const words = [s.on_duty ? t('onDuty', { n: s.on_duty }) : t('nobodyOnDuty'), lost ? t('unreachable', { n: lost }) : ''].filter(Boolean).join(t('and'));
    if (words !== shown) said.textContent = shown = words;
  }

  /** @param {ReachAgent} a @returns {HTMLElement[]} */
  function person(a) {
    const name = a.name || a.id;
    const [kind, words] = a.cause ? ['wrong', t('isUnreachable')] : a.muted ? ['calm', t('isMuted')] : ['good', t('isReachable')];
    return [
      el('div.row', {},
        el('h3', {}, el('bdi', {}, name), a.name && a.name !== a.id ? el('code', {}, ` ${a.id}`) : ''),
        el(`span.badge.${kind}`, {}, words),
        el('a.button', { href: `#why?agent=${encodeURIComponent(a.id)}`, 'aria-label': t('messagesOf', { name }) }, t('messages'))),
      ...(a.cause ? [el('p.cause', {}, reason(a.cause)), el('p.soft', {}, help(a.cause))] : []),
      ...(a.muted ? [el('p.soft', {}, t('mutedNote'))] : []),
      ...(a.logins.length ? [el('ul', {}, ...a.logins.map(login))] : []),
    ];
  }

  /** @param {ReachLogin} l */
  function login(l) {
    const open = l.presence !== 'closed';
    const why = l.channel === 'in_app' ? t('inHidden', { reason: reason(l.cause ?? '') }) : reason(l.cause ?? '');
    return el('li', {},
      el(`span.dot.${l.presence}`), el('b', {}, el('bdi', {}, l.label || l.code)), ' ', el('code', {}, l.code), ' ',
      el('span.soft', {}, open ? t(l.presence) : `${t('closed')} · ${t('lastSeen', { t: moment(l.seen) })}`), el('br'),
      el('span', { className: l.cause ? 'bad' : `channel ${l.channel}` }, l.cause ? why : t('wouldBe', { channel: channel(l.channel), reason: decided(l).reason })));
  }

  const loadSoon = soon(() => void load(), CALM);
  const say = () => address('reach', { agent: agent.value.trim(), team: team.value.trim(), unreachable: only.checked ? 'true' : '' });
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    say();
    for (const s of lists) s.wanted = PAGE;
    void load();
  });
  only.addEventListener('change', () => form.requestSubmit());
  setInterval(() => {
    if (visible && document.visibilityState === 'visible') void load();
  }, EVERY);

  return {
    /** Shows what the address says: #reach?agent=mei, or team, unreachable=true. @param {boolean} now */
    shown(now) {
      visible = now;
      if (!now) return;
      const q = query('reach');
      agent.value = q.get('agent') ?? '';
      team.value = q.get('team') ?? '';
      only.checked = q.get('unreachable') === 'true';
      void load();
    },
    changed() {
      if (visible) loadSoon();
    },
  };
}
