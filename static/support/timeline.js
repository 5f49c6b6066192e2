/**
 * What happened to a message: its facts, and a timeline for each login.
 * @module
 */
/** @import {Decision, Delivery, Found, Trace} from './hub.js' */
import { el, moment, utc, zone } from './dom.js';
import { channel, decided, detail, end, happening, help, kindWords, locale, reason, t } from './words.js';

const LOGINS = 100; // shown at a time

/** Whether a page or a worker said that it showed it. @param {Delivery} d */
export const wasSeen = (d) => d.end === 'acknowledged' || Boolean(d.events?.some((e) => ['displayed', 'clicked', 'dismissed'].includes(e.kind)));

/** What came of it on one login. @param {Delivery} d @returns {[kind: string, words: string]} */
function outcome(d) {
  switch (d.end) {
    case undefined: return ['wait', t('onItsWay')];
    case 'none': return ['wrong', channel('none')];
    case 'failed': case 'expired': return ['wrong', end(d.end)];
    case 'acknowledged': return ['good', end(d.end)];
    case 'push_accepted': return wasSeen(d) ? ['good', t('shownThere')] : ['doubt', t('doubt')];
    default: return ['calm', end(d.end)];
  }
}

/** What the agent is to do or to know. @param {Delivery} d */
function advice(d) {
  if (!d.end || d.events?.some((e) => e.kind === 'clicked')) return '';
  if (d.end === 'push_accepted') return help(wasSeen(d) ? 'displayed' : 'no_receipt');
  if (d.end === 'acknowledged') return help(d.channel === 'local' ? 'displayed' : d.reason);
  return help(d.end === 'merged' ? 'merged' : d.end_reason ?? '');
}

/**
 * @param {Trace} x @param {Found} known the names
 * @param {{mine: string, assigned: string, text: boolean}} how mine: the agent or device asked for, shown first
 * @returns {HTMLElement[]}
 */
export function historyOf(x, known, { mine, assigned, text }) {
  const m = x.message;
  const facts = [
    [t('message'), m.id], [t('conversation'), el('span', {}, el('bdi', {}, m.conversation), ` (${m.seq})`)], [t('assignedTo'), assigned], [t('kind'), kindWords(m.kind)],
    [t('sent'), when(m.sent)], [t('accepted'), when(m.accepted)], ...(text ? [[t('text'), m.text || t('erased')]] : []), [t('zone'), t('zoneIs', { zone: zone() })],
  ];
  const deliveries = [...x.deliveries].sort((a, b) => Number(meant(b)) - Number(meant(a)));
  const logins = el('div', {}, ...deliveries.slice(0, LOGINS).map(login));
  const out = [el('dl.facts', {}, ...facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])), logins];
  let shown = LOGINS;
  if (deliveries.length > shown) {
    const more = el('button', { type: 'button' }, t('moreLogins', { n: deliveries.length - shown }));
    more.addEventListener('click', () => {
      const next = deliveries.slice(shown, shown + LOGINS).map(login);
      logins.append(...next);
      shown += LOGINS;
      if (shown < deliveries.length) {
        more.textContent = t('moreLogins', { n: deliveries.length - shown });
        return;
      }
      next[0].tabIndex = -1;
      next[0].focus();
      more.remove();
    });
    out.push(more);
  }
  return out;

  /** @param {Delivery} d */
  function meant(d) {
    const device = known.devices?.[d.device ?? ''];
    return mine !== '' && (d.agent === mine || d.device === mine
      || Boolean(known.agents?.[d.agent ?? '']?.toLowerCase().includes(mine.toLowerCase()))
      || device?.code.replace('-', '') === mine.toUpperCase().replace('-', ''));
  }

  /** @param {Delivery} d */
  function login(d) {
    const device = d.device ? known.devices?.[d.device] : undefined;
    const title = el('h3.grow', {}, el('bdi', {}, (d.agent && (known.agents?.[d.agent] ?? d.agent)) || t('nobody')));
    if (d.device) title.append(' · ', el('bdi', {}, device ? device.label || device.code : t('deviceLeft')), ' ', device ? el('code', {}, device.code) : '');
    const [kind, words] = outcome(d);
    const next = d.agent && advice(d);
    return el('section.login', {}, el('div.row', {}, title, el(`span.badge.${kind}`, {}, words)), el('ol.timeline', {}, ...steps(d)),
      next && el('p.next', {}, el('b', {}, t('forAgentNow')), ` ${next}`));
  }

  /** @param {Delivery} d */
  function steps(d) {
    const start = Date.parse(m.accepted);
    /** @param {string | undefined} at @param {string} kind @param {string} what @param {string} [more] */
    const step = (at, kind, what, more) => el(`li.${kind}`, {},
      at ? el('span.when', {}, when(at), ` ${offset(Date.parse(at) - start)}`) : el('span'),
      el('span', {}, more ? t('andMore', { a: what, b: more }) : what));
    /** @param {Decision} to */
    const tone = (to) => (to.channel === 'none' ? 'wrong' : 'good');
    const first = d.first ?? d;
    // A new assignee's is decided later than the message's first, and keeps no time of its own but these.
    const queued = d.events?.find((e) => e.kind === 'push_queued')?.at;
    const decidedAt = (d.first ? undefined : d.end === 'none' ? d.ended : queued) ?? x.decided;
    /** @type {[at: string, e: HTMLElement][]} */
    const then = (d.events ?? []).map((e) => {
      const more = detail(e.kind, e.detail);
      if (e.kind === 'redecided') return [e.at, step(e.at, d.first ? tone(d) : 'wait', d.first ? t('tRedecided', decided(d)) : happening(e.kind), more)];
      return [e.at, step(e.at, waits(e) ? 'wait' : 'good', happening(e.kind), more)];
    });
    if (d.end && d.end !== 'none' && d.ended) {
      const bad = d.end === 'failed' || d.end === 'expired';
      then.push([d.ended, step(d.ended, bad ? 'wrong' : 'good', t('tEnd', { end: end(d.end) }), d.end_reason && d.end_reason !== d.reason ? reason(d.end_reason) : '')]);
    }
    return [
      step(m.accepted, 'good', t('tAccepted')),
      step(decidedAt, tone(first), t(d.first ? 'tAtFirst' : 'tDecided', decided(first))),
      ...then.sort(([a], [b]) => Date.parse(a) - Date.parse(b)).map(([, e]) => e),
      ...(d.end ? [] : [step(undefined, 'wait', t('tWaiting'))]),
    ];
  }
}

/** @param {{kind: string, detail?: string}} e */
const waits = (e) => e.kind === 'retry' || e.kind === 'push_queued' || e.kind === 'push_answer' && !e.detail?.startsWith('accepted');

/** A time in the viewer's zone, and in UTC where it is pointed at. @param {string} at */
function when(at) {
  return el('time', { dateTime: at, title: utc(at) }, moment(at));
}

/** @param {number} ms */
function offset(ms) {
  return `+${(ms / 1000).toLocaleString(locale(), { maximumFractionDigits: ms < 10_000 ? 2 : 0 })} s`;
}
