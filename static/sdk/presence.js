/**
 * What the page says of itself: visible, focused, viewing which conversation.
 * @module
 */
/** @import {PageState} from './types.js' */

// Later than the hub's deadline for an acknowledgement nothing told matters.
const RECENT = 5_000;

/**
 * Calls tell whenever the state changes, and while the page is visible again
 * every so often: visibility is a claim that lapses.
 * @param {{signal: AbortSignal, tell: (state: PageState) => void, wake: (slept: boolean) => void, tick: () => void}} on
 *   wake: the page may have slept through something; tick: it is still visible
 */
export function watchPresence({ signal, tell, wake, tick: awake }) {
  let viewing = '';
  let gone = false;
  let told = '';
  let renewMillis = 15_000;
  let ticked = Date.now();
  /** @type {{at: number, state: PageState}[]} */
  let recent = [];
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;

  /** @returns {PageState} */
  const state = () => {
    const visible = !gone && document.visibilityState === 'visible';
    return { visibility: visible ? 'visible' : 'hidden', focus: visible && document.hasFocus(), viewing: viewing || undefined };
  };

  /** @param {boolean} [renew] */
  const send = (renew) => {
    const s = state();
    const text = JSON.stringify(s);
    if (text === told && !renew) return;
    told = text;
    note(s);
    tell(s);
  };

  /** @param {PageState} s */
  const note = (s) => {
    const now = Date.now();
    // The last state before the window still held at its beginning.
    while (recent.length > 1 && now - recent[1].at > RECENT) recent.shift();
    recent.push({ at: now, state: s });
  };

  const tick = () => {
    const slept = Date.now() - ticked > 2 * renewMillis + 1_000;
    ticked = Date.now();
    if (slept) wake(true);
    if (state().visibility !== 'visible') return;
    send(true);
    awake();
  };
  const restart = () => {
    clearInterval(timer);
    timer = setInterval(tick, renewMillis);
  };
  restart();

  const changed = () => send();
  const back = () => {
    gone = false;
    send();
    if (document.visibilityState === 'visible') wake(false);
  };
  const leave = () => {
    gone = true;
    send();
  };
  /** @param {PageTransitionEvent} e */
  const pageshow = (e) => {
    back();
    if (e.persisted) wake(true);
  };
  const online = () => wake(true);

  /** @type {[EventTarget, string, any][]} */
  const listeners = [
    [document, 'visibilitychange', back],
    [window, 'focus', back],
    [window, 'blur', changed],
    [window, 'pageshow', pageshow],
    [window, 'pagehide', leave],
    [document, 'freeze', leave],
    [document, 'resume', back],
    [window, 'online', online],
  ];
  for (const [target, type, f] of listeners) target.addEventListener(type, f, { signal });

  return {
    state,
    /** The state goes out by other means (hello). */
    toldNow() {
      const s = state();
      told = JSON.stringify(s);
      note(s);
      return s;
    },
    /** @param {string | null} conversation */
    view(conversation) {
      viewing = `${conversation ?? ''}`;
      send();
    },
    viewing: () => viewing,
    /** @param {number} seconds */
    renewEvery(seconds) {
      const millis = Math.max(1, seconds) * 1000;
      if (millis === renewMillis) return;
      renewMillis = millis;
      restart();
    },
    /**
     * Whether a state the hub may still go by fits.
     * @param {(s: PageState) => boolean} fits
     */
    claimed(fits) {
      const now = Date.now();
      return recent.some((r, i) => fits(r.state) && (i === recent.length - 1 || now - recent[i + 1].at < RECENT));
    },
    stop() {
      clearInterval(timer);
    },
  };
}
