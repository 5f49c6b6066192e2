/**
 * One lasting connection made of many short ones: opens, comes back, and on the
 * hub's bye opens the next socket before it closes the last.
 * @module
 */
/** @import {State, StateInfo} from './types.js' */
import { parse } from './api.js';
import { message } from './local.js';

const SUBPROTOCOL = 'caac.v1';
const OPEN_WITHIN = 15_000;
const STABLE_AFTER = 60_000;
const QUIET_FOR = 60_000;
const ANSWER_WITHIN = 5_000;
const TOKEN_HELD = 5_000;
// What the hub sent before it knew of the next socket still comes, and is answered
// where it came from: as long as a toast may take to be drawn.
const HEARD_OUT = 2_000;

const CLOSE_TOKEN_ENDED = 4002;
const CLOSE_TOO_MANY = 4029;
const CLOSE_LOGGED_OUT = 4502;
const CLOSE_TOO_MANY_TABS = 4503;

/**
 * Milliseconds to wait before the next try: full jitter from 0.5 s to at most 30 s.
 * @param {number} attempt from 0
 * @param {number} random in [0, 1)
 */
export function backoff(attempt, random) {
  return 500 + random * (Math.min(30_000, 1_000 * 2 ** attempt) - 500);
}

/**
 * What a close code asks for.
 * @param {number} code
 * @returns {'stop' | 'token' | 'again'}
 */
export function afterClose(code) {
  if (code >= 4500 && code < 5000) return 'stop';
  return code === CLOSE_TOKEN_ENDED ? 'token' : 'again';
}

/**
 * @typedef {(frame: object) => boolean} Send false: it could not be sent
 * @typedef {{ws: WebSocket | null, welcomed: number, who: string, over: boolean, heard: number, deadline?: ReturnType<typeof setTimeout>, stable?: ReturnType<typeof setTimeout>, release?: () => void}} Link
 */

/**
 * @param {object} o
 * @param {string} o.url ws or wss
 * @param {() => Promise<() => void>} o.turn waits for this page's turn to say hello; the result ends the turn
 * @param {() => Promise<string>} o.token
 * @param {(token: string) => object} o.hello makes the first frame
 * @param {() => object} o.probe makes a frame the hub must answer
 * @param {(frame: any, reply: Send, fresh: boolean) => void} o.onFrame fresh: this welcome begins a socket
 * @param {(state: State, info: StateInfo) => void} o.onState
 */
export function createSocket({ url, turn, token, hello, probe, onFrame, onState }) {
  /** @type {Link | null} welcomed */
  let current = null;
  /** @type {Link | null} on its way */
  let next = null;
  /** @type {Link | null} what current took the place of, to be heard out */
  let last = null;
  let attempt = 0;
  let stopped = false;
  let lastCode = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retry;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let probing;

  async function open() {
    if (stopped || next) return;
    clearTimeout(retry);
    retry = undefined;
    /** @type {Link} */
    const link = { ws: null, welcomed: 0, who: '', over: false, heard: 0 };
    next = link;
    if (!current) onState('connecting', {});
    link.deadline = setTimeout(() => ended(link, 0, 'no answer'), OPEN_WITHIN);
    try {
      link.release = await turn();
      const good = await token();
      if (link.over || stopped) return link.release();
      const ws = new WebSocket(url, SUBPROTOCOL);
      link.ws = ws;
      ws.onopen = () => ws.send(JSON.stringify(hello(good)));
      ws.onmessage = (e) => receive(link, e.data);
      ws.onclose = (e) => ended(link, e.code, e.reason);
    } catch (e) {
      ended(link, 0, `no token: ${message(e)}`);
    }
  }

  /**
   * @param {Link} link
   * @param {any} data
   */
  function receive(link, data) {
    if (link.over || stopped) return;
    link.heard = Date.now();
    const frame = parse(data);
    if (!frame) return;
    const fresh = frame.type === 'welcome' && !link.welcomed;
    if (link === last && (frame.type === 'welcome' || frame.type === 'bye')) return;
    if (fresh) adopt(link, `${frame.agent} ${frame.device?.id}`);
    if (frame.type === 'bye') return leaveSoon(link, frame);
    onFrame(frame, (f) => sendOn(link, f), fresh);
    if (fresh) {
      release(link);
      onState('online', {});
    }
  }

  /**
   * @param {Link} link
   * @param {string} who the login it is of
   */
  function adopt(link, who) {
    clearTimeout(link.deadline);
    link.welcomed = Date.now();
    link.who = who;
    letGo();
    last = current;
    current = link;
    next = null;
    if (last && last.who !== who) letGo();
    if (last) last.deadline = setTimeout(letGo, HEARD_OUT);
    link.stable = setTimeout(() => (attempt = 0), STABLE_AFTER);
  }

  function letGo() {
    if (!last) return;
    sendOn(last, { type: 'bye' });
    drop(last);
    last = null;
  }

  /**
   * @param {Link} link
   * @param {{code: number, retry_ms?: number}} bye
   */
  function leaveSoon(link, bye) {
    if (link !== current || afterClose(bye.code) === 'stop' || next || retry) return;
    retry = setTimeout(open, bye.retry_ms ?? 0);
  }

  /** @param {Link} link */
  function release(link) {
    link.release?.();
    link.release = undefined;
  }

  /** @param {Link} link */
  function drop(link) {
    link.over = true;
    clearTimeout(link.deadline);
    clearTimeout(link.stable);
    release(link);
    if (link.ws) {
      link.ws.onopen = link.ws.onmessage = link.ws.onclose = null;
      link.ws.close();
    }
  }

  /**
   * @param {Link} link
   * @param {number} code
   * @param {string} reason
   */
  function ended(link, code, reason) {
    if (link.over) return;
    drop(link);
    if (link === last) {
      last = null;
      return;
    }
    if (link === next) next = null;
    if (link === current) {
      current = null;
      clearTimeout(probing);
      probing = undefined;
    }
    if (stopped) return;
    lastCode = code;
    const then = afterClose(code);
    if (then === 'stop' && !(current && code === CLOSE_TOO_MANY_TABS)) {
      return stop(code === CLOSE_LOGGED_OUT ? 'logged_out' : 'refused', { code, reason });
    }
    if (next) return;
    // A retry that bye has set stands while the old socket does.
    if (retry) {
      if (!current) onState('waiting', { code, reason });
      return;
    }
    const held = link.welcomed > 0 && Date.now() - link.welcomed > TOKEN_HELD;
    const wait = then === 'token' && (held || attempt === 0) ? 0 : backoff(attempt, Math.random());
    if (!held) attempt++;
    retry = setTimeout(open, wait);
    if (!current) onState('waiting', { code, reason, retryMillis: Math.round(wait) });
  }

  /**
   * @param {State} state
   * @param {StateInfo} info
   */
  function stop(state, info) {
    stopped = true;
    clearTimeout(retry);
    clearTimeout(probing);
    letGo();
    for (const link of [current, next]) if (link) drop(link);
    current = next = null;
    onState(state, info);
  }

  /**
   * @param {Link} link
   * @param {object} frame
   */
  function sendOn(link, frame) {
    if (link.ws?.readyState !== WebSocket.OPEN || !link.welcomed) return false;
    link.ws.send(JSON.stringify(frame));
    return true;
  }

  /** Asks the hub for an answer; a socket that gives none is dead. */
  function ask() {
    const link = current;
    if (!link || probing) return;
    const asked = Date.now();
    sendOn(link, probe());
    probing = setTimeout(() => {
      probing = undefined;
      if (link === current && link.heard < asked) {
        ended(link, 0, 'no answer');
        void open();
      }
    }, ANSWER_WITHIN);
  }

  return {
    open: () => void open(),
    /** @type {Send} */
    send: (frame) => (current ? sendOn(current, frame) : false),
    /**
     * Sends what holds of the page, whichever of its sockets the hub goes by.
     * @param {object} frame
     */
    claim(frame) {
      for (const link of [last, current]) if (link) sendOn(link, frame);
    },
    /** @param {boolean} doubt the socket may be dead without knowing */
    wake(doubt) {
      if (stopped) return;
      if (current) {
        if (doubt || Date.now() - current.heard > QUIET_FOR) ask();
      } else if (retry && lastCode !== CLOSE_TOO_MANY) {
        void open();
      }
    },
    /** Opens a new socket in place of the one there is. */
    renew: () => void open(),
    /** @param {object} [last] frame to go with */
    close(last) {
      if (stopped) return;
      if (last && current) sendOn(current, last);
      stop('closed', {});
    },
  };
}
