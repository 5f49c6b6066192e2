/**
 * "Set up again": unsubscribe, clear, register, Push test, each with what came of
 * it. The page is loaded anew in between, so that nothing of before is left in it.
 * What fails stands in the way of nothing that follows, and all can be repeated.
 * @module
 */
/** @import {Client} from '../sdk/index.js' */
/** @import {PushResult, PushTestResult} from '../sdk/types.js' */
import { byId, el } from './common.js';
import { look } from './platform.js';
import { enableWords, errorWords, pushTestWords } from './results.js';
import { t } from './strings.js';

/** In this tab: the steps done before the page was loaded anew. */
const PENDING = 'caac.setup';
/** On this device: it was unsubscribed and not yet registered again. */
const UNFINISHED = 'caac.setup.unfinished';

/** @typedef {'unsubscribe' | 'clear' | 'register' | 'test'} Name */
/** @typedef {{name: Name, state: 'running' | 'passed' | 'failed', error?: {code?: string, message?: string}, enabled?: PushResult, tested?: PushTestResult}} Step */

/**
 * @template T
 * @param {() => T} use of storage, which may be blocked
 * @returns {T | null} null: it is
 */
function stored(use) {
  try {
    return use();
  } catch {
    return null;
  }
}

const pending = () => stored(() => sessionStorage.getItem(PENDING));

/** @returns {boolean} whether it was begun before this page was loaded, and is to go on in it */
export const pendingSetup = () => pending() !== null;

/** Clears what this browser keeps; the device's identity stays, so that support finds it. */
async function clear() {
  for (const r of (await navigator.serviceWorker?.getRegistrations()) ?? []) {
    for (const n of await r.getNotifications()) n.close();
    await r.unregister();
  }
  if ('caches' in globalThis) for (const name of await caches.keys()) await caches.delete(name);
  await new Promise((resolve) => {
    const gone = indexedDB.deleteDatabase('caac');
    gone.onsuccess = gone.onerror = gone.onblocked = resolve;
  });
}

/**
 * @param {Client} client
 * @param {import('./check.js').Profile} profile
 */
export function setUpAgain(client, profile) {
  const button = /** @type {HTMLButtonElement} */ (byId('set-up-again'));
  /** @type {Step[]} */
  let steps = JSON.parse(pending() ?? '[]');
  /** @type {'' | 'offline' | 'tap' | 'done' | 'failed'} */
  let outcome = '';
  let busy = false;
  let mended = false;

  /** @param {Step} s */
  function words({ name, state, error, enabled, tested }) {
    if (tested) return pushTestWords(tested);
    if (enabled && !enabled.ok) return enableWords(enabled);
    return error ? errorWords(error) : t(`again.${name}.${state === 'failed' ? 'running' : state}`);
  }

  function show() {
    byId('again-steps').hidden = steps.length === 0;
    byId('again-steps').replaceChildren(...steps.map((s) => el(`li.${s.state}`, {},
      el('span.mark', { ariaHidden: 'true' }, { passed: '✓', failed: '!', running: '…' }[s.state]), el('span', {}, words(s)))));
    byId('again-result').textContent = outcome ? t(`again.${outcome}`) : '';
    button.textContent = t(outcome === 'tap' ? 'again.continue' : 'again.button');
    button.ariaDisabled = busy ? 'true' : null;
  }

  /**
   * @param {Name} name
   * @param {(step: Step) => Promise<unknown>} work throws, or notes in the step, what went wrong
   * @returns {Promise<boolean>} whether it was done
   */
  async function step(name, work) {
    /** @type {Step} */
    const s = { name, state: 'running' };
    steps = [...steps.filter((o) => o.name !== name), s];
    show();
    try {
      await work(s);
    } catch (e) {
      const { code, message } = /** @type {any} */ (e) ?? {};
      s.error = { code, message: message ?? String(e) };
    }
    const done = !s.error && s.enabled?.ok !== false && s.tested?.receivedMillis !== null;
    s.state = done ? 'passed' : 'failed';
    show();
    return done;
  }

  async function begin() {
    steps = [];
    outcome = '';
    // Without the hub it would only take away what is there.
    if (client.state !== 'online' || !navigator.onLine) {
      outcome = 'offline';
      return show();
    }
    busy = true;
    stored(() => localStorage.setItem(UNFINISHED, '1'));
    await step('unsubscribe', () => client.disablePush());
    await step('clear', clear);
    stored(() => sessionStorage.setItem(PENDING, JSON.stringify(steps)));
    if (pendingSetup()) location.reload();
    else await goOn();
  }

  async function goOn() {
    busy = true;
    outcome = '';
    stored(() => sessionStorage.removeItem(PENDING));
    const registered = await step('register', async (s) => {
      s.enabled = await profile.enable();
    });
    if (registered) stored(() => localStorage.removeItem(UNFINISHED));
    const rings = registered && (await step('test', async (s) => {
      s.tested = await profile.pushTest();
    }));
    outcome = rings ? 'done' : 'failed';
    busy = false;
    show();
  }

  /** Gives push back to a device whose page was closed in the middle. */
  async function mend() {
    const { settings } = profile.known();
    if (mended || busy || !settings || pendingSetup() || stored(() => localStorage.getItem(UNFINISHED)) === null) return;
    mended = true;
    if (needsTap()) return;
    if (settings.device.subscribed || (await client.enablePush()).ok) stored(() => localStorage.removeItem(UNFINISHED));
  }

  /** Whether permission or the system asks for a person's tap. */
  const needsTap = () => look().system === 'ios' || !('Notification' in globalThis) || Notification.permission !== 'granted';

  button.addEventListener('click', () => void (busy || (outcome === 'tap' ? goOn() : begin())));
  show();
  return {
    /** Goes on after the reload, once the page is connected. */
    again() {
      if (client.state !== 'online') return;
      void mend();
      if (!pendingSetup() || busy || outcome === 'tap') return;
      if (!needsTap()) return void goOn();
      outcome = 'tap';
      show();
    },
    retell: show,
  };
}
