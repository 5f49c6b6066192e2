/**
 * What the demo's pages share.
 * @module
 */

/** @typedef {{device: string, code: string, label: string, presence: string, permission: string, on: boolean, subscribed: boolean, viewing?: string}} Login */
/** @typedef {{id: string, name: string, on_duty: boolean, muted: boolean, logins: Login[]}} Agent */
/** @typedef {{id: string, contact: string, assignment: {agent?: string, team?: string}, seq: number}} Conversation */
/** @typedef {{agents: Agent[], team: {id: string, name: string, members: string[]}, conversations: Conversation[], public_url: string, miui_guide?: string}} DemoState */
/** @typedef {{agent?: string, device?: string, channel: string, reason: string, detail?: string, held?: boolean}} Decision */
/** @typedef {Decision & {id: string, first?: Decision, end?: string, end_reason?: string, ended?: string, events?: {at: string, kind: string, detail?: string}[]}} Delivery */
/** @typedef {{conversation: string, id: string, seq: number, kind: string, text?: string, thumbnail?: string, contact?: string, accepted: string, assignment: {agent?: string, team?: string}}} Message */
/** @typedef {{message: Message, pending: boolean, deliveries: Delivery[], reached_nobody: boolean}} Trace */
/** @typedef {{conversation: string, id: string, seq: number, kind: string, text: string, thumbnail?: string, at: string, from: string}} Line */

import { el } from '../page.js';

export { byId, el } from '../page.js';

/**
 * Makes these the children of a list, moving no node that stands right: what is
 * focused, pressed or was read out stays so.
 * @param {HTMLElement} list
 * @param {HTMLElement[]} nodes
 */
export function arrange(list, nodes) {
  const stay = new Set(/** @type {Element[]} */ (nodes));
  for (const old of [...list.children]) if (!stay.has(old)) old.remove();
  nodes.forEach((node, i) => {
    if (list.children[i] !== node) list.insertBefore(node, list.children[i] ?? null);
  });
}

/**
 * Does what a button asks for, once at a time. Meanwhile it looks disabled and is
 * not: that would take the focus from it.
 * @param {HTMLElement} button
 * @param {() => unknown} work
 */
export async function once(button, work) {
  if (button.ariaDisabled) return;
  button.ariaDisabled = 'true';
  try {
    await work();
  } finally {
    button.ariaDisabled = null;
  }
}

const WITHIN = 15_000;

/** The hub gave no answer. */
export class Unreachable extends Error {
  code = 'unreachable';
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<any>} rejects with the problem's detail and code, or Unreachable
 */
export async function request(method, path, body) {
  let answer;
  let text;
  try {
    answer = await fetch(path, {
      method, body: body && JSON.stringify(body), headers: body ? { 'Content-Type': 'application/json' } : {}, signal: AbortSignal.timeout(WITHIN),
    });
    text = await answer.text();
  } catch {
    throw new Unreachable('The hub does not answer. Is it running?');
  }
  const json = parsed(text);
  if (!answer.ok) throw Object.assign(new Error(json?.detail ?? json?.title ?? `The hub answered ${answer.status}.`), { code: json?.code ?? String(answer.status) });
  return json;
}

/** @param {string} text @returns {any} null: not JSON */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Follows the demo's events while the page is visible; a browser allows one
 * origin only a few open streams.
 * @param {Record<string, (data: any) => void>} on by event; "again" after every (re)connection
 */
export function follow(on) {
  /** @type {EventSource | null} */
  let source = null;
  const look = () => {
    if (document.visibilityState === 'hidden') {
      source?.close();
      source = null;
      return;
    }
    if (source && source.readyState !== EventSource.CLOSED) return;
    source = new EventSource('/demo/events');
    source.onopen = () => on.again?.(null);
    for (const [name, f] of Object.entries(on)) source.addEventListener(name, (e) => f(JSON.parse(e.data)));
  };
  document.addEventListener('visibilitychange', look);
  setInterval(look, 5_000);
  look();
}

/**
 * Calls f soon, once for many calls, however long they go on.
 * @param {() => void} f
 * @param {number} millis
 */
export function soon(f, millis) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      f();
    }, millis);
  };
}

/** @type {Record<string, string>} */
const REASONS = {
  'in_app/viewing_conversation': 'you have this very chat open',
  'in_app/actively_viewing': 'you are looking at it',
  'in_app/device_off': "this device's switch is off",
  'in_app/permission_denied': 'notifications are blocked on this device',
  'in_app/permission_default': 'notifications are not granted on this device',
  'local/visible_unfocused': 'the page is visible, but you work elsewhere',
  'local/no_subscription': 'the page is hidden, and this device has no push',
  'push/page_hidden': 'the page is open, but hidden',
  'push/page_closed': 'no page is open',
  'push/unconfirmed': 'no page confirmed that it showed it',
  'none/unassigned': 'nobody is assigned',
  'none/not_logged_in': 'logged in on no device',
  'none/off_duty': 'off duty',
  'none/agent_muted': 'turned notifications off',
  'none/device_off': "this device's switch is off",
  'none/permission_denied': 'notifications are blocked on this device',
  'none/permission_default': 'notifications are not granted on this device',
  'none/no_subscription': 'no page is open, and this device has no push',
  'none/unconfirmed': 'no page confirmed that it showed it, and there is no push',
};

/** @type {Record<string, string>} */
const CHANNELS = {
  in_app: 'in the page only',
  local: 'notification by the page',
  push: 'push',
  none: 'silent',
};

/**
 * A decision in plain words: the channel, then why.
 * @param {Decision} d
 * @returns {[channel: string, reason: string]}
 */
export function words(d) {
  let why = REASONS[`${d.channel}/${d.reason}`] ?? d.reason.replaceAll('_', ' ');
  if (d.detail === 'lease_expired') why += ' (it stopped saying that it is visible)';
  if (d.held) why += '; waits for the other device that has the chat open';
  return [CHANNELS[d.channel] ?? d.channel, why];
}

/** @type {Record<string, string>} */
const ENDS = {
  none: '',
  acknowledged: 'confirmed by the page',
  push_accepted: 'taken by the push service',
  merged: 'told together with a newer message',
  dropped: 'not sent',
  withdrawn: 'withdrawn',
  expired: 'expired',
  failed: 'failed',
};

/** @type {Record<string, string>} */
const END_REASONS = {
  read_elsewhere: 'it was read on another device',
  read: 'it was read before',
  answered: 'somebody had replied',
  reassigned: 'somebody else is assigned now',
  logged_out: 'logged out meanwhile',
  subscription_gone: 'the push service knows this device no more',
  push_rejected: 'the push service refused it',
  push_expired: 'no push service took it in time',
  unconfirmed: 'no page confirmed it and there is no push',
  off_duty: 'off duty meanwhile',
  device_off: "this device's switch is off",
};

/**
 * Where a delivery came to rest, in plain words.
 * @param {Delivery} d
 */
export function endWords(d) {
  if (!d.end) return 'on its way…';
  const why = d.end_reason && d.end_reason !== d.reason ? (END_REASONS[d.end_reason] ?? d.end_reason.replaceAll('_', ' ')) : '';
  const events = new Set((d.events ?? []).map((e) => e.kind));
  const receipts = [events.has('displayed') && 'shown', events.has('clicked') && 'clicked', events.has('dismissed') && 'dismissed'].filter(Boolean);
  return [(ENDS[d.end] ?? d.end) + (why && `: ${why}`), ...receipts].filter(Boolean).join(', ');
}

/** @type {Record<string, string>} */
export const KINDS = { text: 'Text', image: 'Image', emoji: 'Emoji', sticker: 'Sticker', video: 'Video', file: 'File' };

/** @param {string} at ISO 8601 */
export function clock(at) {
  return new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

/**
 * @param {{kind: string, text?: string, thumbnail?: string}} m
 * @returns {Node}
 */
export function content(m) {
  if (m.kind === 'text' || m.kind === 'emoji') return document.createTextNode(m.text || KINDS[m.kind]);
  const box = el('span', {}, `[${KINDS[m.kind] ?? 'File'}] ${m.text ?? ''}`);
  if (m.thumbnail) box.append(el('br'), el('img', { src: m.thumbnail, alt: '', loading: 'lazy', referrerPolicy: 'no-referrer' }));
  return box;
}
