/**
 * "Set up again": unsubscribe, clear, register, Push test. The page is loaded anew
 * in between, so that nothing of before is left in it.
 * @module
 */
/** @import {Client} from '../sdk/index.js' */
import { byId } from './common.js';
import { look } from './platform.js';
import { enableWords } from './results.js';
import { t } from './strings.js';

const PENDING = 'caac.setup';

/** @returns {boolean} whether it was begun before this page was loaded, and is to go on in it */
export function pendingSetup() {
  return sessionStorage.getItem(PENDING) !== null;
}

/** Clears what this browser keeps; the device's identity stays, so that support finds it. */
async function clear() {
  for (const r of (await navigator.serviceWorker?.getRegistrations()) ?? []) {
    for (const n of await r.getNotifications()) n.close();
    await r.unregister();
  }
  for (const name of await caches.keys()) await caches.delete(name);
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
  const said = byId('again-result');
  const fail = (/** @type {unknown} */ e) => {
    sessionStorage.removeItem(PENDING);
    said.textContent = t('again.failed', { why: e instanceof Error ? e.message : String(e) });
    button.textContent = t('again.button');
    button.disabled = false;
  };

  async function begin() {
    button.disabled = true;
    said.textContent = t('again.clearing');
    try {
      await client.disablePush();
      await clear();
    } catch (e) {
      return fail(e);
    }
    sessionStorage.setItem(PENDING, '1');
    location.reload();
  }

  async function goOn() {
    button.disabled = true;
    said.textContent = t('again.subscribing');
    sessionStorage.removeItem(PENDING);
    try {
      const enabled = await profile.enable();
      if (!enabled.ok) return fail(new Error(enableWords(enabled)));
      said.textContent = t('test.sending');
      said.textContent = t('again.done', { result: await profile.pushTest() });
      button.textContent = t('again.button');
      button.disabled = false;
    } catch (e) {
      fail(e);
    }
  }

  button.addEventListener('click', () => (pendingSetup() ? goOn() : begin()));
  /** Goes on after the reload, once the page is connected. */
  return () => {
    if (!pendingSetup() || button.disabled) return;
    // Where permission or the system asks for a person's tap, they are asked for one.
    if (look().system === 'ios' || !('Notification' in globalThis) || Notification.permission !== 'granted') {
      said.textContent = t('again.tap');
      button.textContent = t('again.continue');
      return;
    }
    void goOn();
  };
}
