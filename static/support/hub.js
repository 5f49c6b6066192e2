/**
 * The hub, asked with the key or token of who sits here.
 * @module
 */

/** @typedef {{agent?: string, device?: string, channel: string, reason: string, detail?: string, held?: boolean}} Decision */
/** @typedef {{at: string, kind: string, detail?: string}} Happening */
/** @typedef {Decision & {id: string, first?: Decision, end?: string, end_reason?: string, into?: string, ended?: string, events?: Happening[]}} Delivery */
/** @typedef {{conversation: string, id: string, seq: number, kind: string, text?: string, contact?: string, sent: string, accepted: string, assignment: {agent?: string, team?: string}}} Message */
/** @typedef {{message: Message, pending: boolean, decided?: string, deliveries: Delivery[], reached: boolean, reached_nobody: boolean, causes?: string[]}} Trace */
/** @typedef {{code: string, label?: string, platform?: string}} DeviceName */
/** @typedef {{traces: Trace[], looked: number, before?: string, agents?: Record<string, string>, devices?: Record<string, DeviceName>}} Found */
/** @typedef {{device: string, code: string, label: string, platform?: string, seen: string, presence: string, viewing?: string, channel: string, reason: string, cause?: string}} ReachLogin */
/** @typedef {{id: string, name: string, reachable: boolean, muted?: boolean, cause?: string, logins: ReachLogin[]}} ReachAgent */
/** @typedef {{agents: ReachAgent[], next?: string, summary: {at: string, on_duty: number, muted: number, unreachable: Record<string, number>, whole: boolean}}} Reach */
/** @typedef {Decision & {row?: number, reaches: boolean, waits?: boolean, unconfirmed?: Decision}} Tried */
/** @typedef {'live' | 'away' | 'full'} Link how this page follows the hub; full: it serves no more such pages */
/** @typedef {{messages: {conversation: string, message: string}[], agents: string[], more: boolean}} Changes */

const KEPT = 'caac-support-key';
const AGAIN = 3_000; // ms until a lost stream is opened again
const SILENT = 40_000; // ms: the hub says something every 15 s

/** An answer that is an error; code is the problem's. */
export class Refused extends Error {
  /** @param {number} status @param {any} problem */
  constructor(status, problem) {
    super(problem?.detail ?? `${status}`);
    this.status = status;
    this.code = String(problem?.code ?? '');
  }
}

/** Where a token comes from without asking; empty: nowhere. */
const login = document.querySelector('meta[name=login]')?.getAttribute('content') ?? '';

export const byItself = login !== '';

export const key = {
  get: () => sessionStorage.getItem(KEPT),
  /** @param {string | null} value */
  set(value) {
    if (value) sessionStorage.setItem(KEPT, value);
    else sessionStorage.removeItem(KEPT);
  },
};

/** Gets the demo's token. */
export async function logIn() {
  const answer = await fetch(login, { method: 'POST' });
  const json = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(answer.status, json);
  key.set(json.token);
}

/** @type {(why: Refused) => void} */
let refused = () => {};
/** @param {(why: Refused) => void} f called where the key is not good, or not any more */
export function onRefused(f) {
  refused = f;
}

/**
 * @param {string} path @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
async function send(path, init = {}) {
  if (/[^\x21-\x7e]/.test(key.get() ?? '')) throw new Refused(401, { code: 'bad_token' }); // no header takes it
  const once = () => fetch(path, { ...init, headers: { ...init.headers, Authorization: `Bearer ${key.get() ?? ''}` } });
  let answer = await once();
  if (answer.status === 401 && byItself) {
    await logIn();
    answer = await once();
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => null);
    const wrong = new Refused(answer.status, problem);
    if (answer.status === 401 || wrong.code === 'not_support') refused(wrong);
    throw wrong;
  }
  return answer;
}

/** @param {string} path @param {Record<string, string>} [query] @returns {Promise<any>} */
export async function get(path, query = {}) {
  const q = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== ''));
  return (await send(`${path}?${q}`)).json();
}

/** @param {string} path @param {object} body @returns {Promise<any>} */
export async function post(path, body) {
  return (await send(path, { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } })).json();
}

/**
 * Follows what changes while the page is visible, until stop. What may have been
 * missed is for again to read anew.
 * @param {{changed: (c: Changes) => void, again: () => void, link: (l: Link) => void}} on
 * @returns {() => void} stop
 */
export function follow(on) {
  let stopped = false;
  /** @type {AbortController | null} */
  let stream = null;
  async function run() {
    const mine = new AbortController();
    stream = mine;
    const silence = watchdog(() => mine.abort(), SILENT);
    /** @type {Link | null} */
    let left = 'away';
    try {
      const answer = await send('/v1/events', { signal: mine.signal });
      on.link('live');
      on.again();
      const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
      const decoder = new TextDecoder();
      let rest = '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        silence.heard();
        const parts = (rest + decoder.decode(value, { stream: true })).split('\n\n');
        rest = parts.pop() ?? '';
        for (const p of parts) {
          const data = p.split('\n').find((l) => l.startsWith('data: '));
          if (data) on.changed(JSON.parse(data.slice(6)));
        }
      }
    } catch (e) {
      if (e instanceof Refused) left = e.code === 'busy' ? 'full' : e.status === 401 || e.status === 403 ? null : 'away';
    } finally {
      silence.end();
      if (stream === mine) stream = null;
      if (left && !stopped && document.visibilityState === 'visible') on.link(left);
    }
  }
  const look = () => {
    if (stopped || document.visibilityState === 'hidden') stream?.abort();
    else if (!stream && key.get()) void run();
  };
  const timer = setInterval(look, AGAIN);
  document.addEventListener('visibilitychange', look);
  window.addEventListener('online', look);
  look();
  return () => {
    stopped = true;
    clearInterval(timer);
    document.removeEventListener('visibilitychange', look);
    window.removeEventListener('online', look);
    look();
  };
}

/** @param {() => void} bark @param {number} millis */
function watchdog(bark, millis) {
  let timer = setTimeout(bark, millis);
  return {
    heard() {
      clearTimeout(timer);
      timer = setTimeout(bark, millis);
    },
    end: () => clearTimeout(timer),
  };
}
