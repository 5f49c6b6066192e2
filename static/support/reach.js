/**
 * Who can be reached now: the on-duty agents, first those who can't.
 * @module
 */
/** @import {Reach, ReachAgent, ReachLogin} from './hub.js' */
import { box, check, el, moment, soon } from './dom.js';
import { get, Refused } from './hub.js';
import { channel, help, reason, t } from './words.js';

const PAGES = 10; // of 100, read before "more" is asked for
const EVERY = 15_000;

/** @param {HTMLElement} panel */
export function startReach(panel) {
  const summary = el('div.summary.card', { role: 'status' });
  const only = box(false);
  const wrong = el('p.bad', { role: 'alert', hidden: true });
  const list = el('div.agents');
  const more = el('button', { type: 'button', hidden: true }, t('more'));
  panel.append(summary, el('p', {}, check(t('onlyUnreachable'), only)), wrong, list, more);

  let visible = false;
  let pages = PAGES;
  let asked = 0;

  async function load() {
    const mine = ++asked;
    try {
      /** @type {ReachAgent[]} */
      const agents = [];
      /** @type {Reach | undefined} */
      let page;
      for (let i = 0; i < pages && (i === 0 || page?.next); i++) {
        page = /** @type {Reach} */ (await get('/v1/reach', { after: page?.next ?? '', limit: '100', unreachable: only.checked ? 'true' : '' }));
        if (mine !== asked) return;
        agents.push(...page.agents);
      }
      if (page) show(agents, page);
      wrong.hidden = true;
    } catch (e) {
      if (mine !== asked) return;
      wrong.textContent = e instanceof Refused ? e.message : t('unreachableHub');
      wrong.hidden = false;
    }
  }

  /** @param {ReachAgent[]} agents @param {Reach} page */
  function show(agents, page) {
    const causes = Object.entries(page.summary.unreachable).filter(([, n]) => n > 0);
    const lost = causes.reduce((sum, [, n]) => sum + n, 0);
    summary.replaceChildren(
      el('b', {}, page.summary.on_duty ? t('onDuty', { n: page.summary.on_duty }) : t('nobodyOnDuty')),
      lost ? el('b.bad', {}, t('unreachable', { n: lost })) : page.summary.on_duty ? el('span.channel.push', {}, t('allReachable')) : '',
      ...causes.map(([cause, n]) => el('span.badge.wrong', {}, `${n} · ${reason(cause)}`)),
      page.summary.whole ? '' : el('span.soft', {}, t('notAll')),
      el('span.soft', {}, t('asOf', { t: moment(page.summary.at) })));
    agents.sort((a, b) => Number(a.reachable) - Number(b.reachable) || a.name.localeCompare(b.name));
    list.replaceChildren(...agents.map(person));
    more.hidden = !page.next;
  }

  /** @param {ReachAgent} a */
  function person(a) {
    return el(`article.card.agent.${a.reachable ? 'reachable' : 'unreachable'}`, { 'data-agent': a.id },
      el('div.row', {},
        el('h3.grow', {}, a.name || a.id),
        el(`span.badge.${a.reachable ? 'good' : 'wrong'}`, {}, a.reachable ? t('isReachable') : t('isUnreachable')),
        el('a.button', { href: `#why?agent=${encodeURIComponent(a.id)}` }, t('messages'))),
      a.cause && el('p.cause', {}, `${reason(a.cause)}.`),
      a.cause && el('p.soft', {}, help(a.cause)),
      a.logins.length ? el('ul', {}, ...a.logins.map(login)) : a.cause !== 'not_logged_in' && el('p.soft', {}, t('noLogin')));
  }

  /** @param {ReachLogin} l */
  function login(l) {
    return el('li', {},
      el(`span.dot.${l.presence}`), el('b', {}, l.label || l.code), ' ', el('code', {}, l.code), ' ',
      el('span.soft', {}, `${t(l.presence)} · ${t('lastSeen', { t: moment(l.seen) })}`), el('br'),
      el('span', { className: l.cause ? 'bad' : `channel ${l.channel}` }, l.cause ? reason(l.cause) : t('wouldBe', { channel: channel(l.channel), reason: reason(l.reason) })));
  }

  const loadSoon = soon(() => void load(), 500);
  only.addEventListener('change', () => void load());
  more.addEventListener('click', () => {
    pages += PAGES;
    void load();
  });
  setInterval(() => {
    if (visible && document.visibilityState === 'visible') void load();
  }, EVERY);

  return {
    /** @param {boolean} now */
    shown(now) {
      if (now && !visible) void load();
      visible = now;
    },
    changed() {
      if (visible) loadSoon();
    },
  };
}
