/**
 * What outlives the page: the device's identity in localStorage, and what the
 * service worker needs as well in IndexedDB (database "caac", one store "kv"):
 *
 *     hub     {url, device, vapid}                       how the worker reaches the hub
 *     badges  {[agent]: {total, version}}                newest known of each login here
 *     shown   [delivery id …]                            what this device has notified, newest last
 *     route   {agent, conversation, click, at}           what a click asked for
 *     pages   {[agent]: pathname}                        where the agent's page stands
 * @module
 */
/** @import {DeviceAuth} from './types.js' */

const DEVICE = 'caac.device';
const PUSH = 'caac.push';
const MAX_SHOWN = 200;

/**
 * @param {string} key of localStorage
 * @returns {any} null: nothing
 */
export function kept(key) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? 'null');
  } catch {
    return null;
  }
}

/**
 * @param {string} key of localStorage
 * @param {unknown} value
 */
export function keep(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Without storage it holds as long as the page.
  }
}

/** @type {DeviceAuth | null} outlives storage that is cleared while the page is open */
let known = null;

/** @returns {DeviceAuth | null} */
export function device() {
  const d = kept(DEVICE);
  if (typeof d?.id === 'string' && typeof d.key === 'string') known = { id: d.id, key: d.key };
  else if (known) keep(DEVICE, known);
  return known;
}

/** @param {DeviceAuth} d */
export function keepDevice({ id, key }) {
  known = { id, key };
  keep(DEVICE, known);
}

/**
 * Calls back when another tab of this device was given a new identity.
 * @param {AbortSignal} signal ends it
 * @param {() => void} changed
 */
export function watchDevice(signal, changed) {
  addEventListener('storage', (e) => {
    if (e.key === DEVICE && e.newValue) changed();
  }, { signal });
}

/**
 * Whether this device wants push, and what the hub took last.
 * @typedef {{wanted?: boolean, endpoint?: string, key?: string, at?: number}} PushMemory
 * @returns {PushMemory}
 */
export const pushMemory = () => kept(PUSH) ?? {};

/** @param {PushMemory} m */
export const keepPushMemory = (m) => keep(PUSH, m);

/** @type {Promise<IDBDatabase> | undefined} */
let opened;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const r = indexedDB.open('caac', 1);
    r.onupgradeneeded = () => r.result.createObjectStore('kv');
    r.onsuccess = () => {
      r.result.onversionchange = r.result.onclose = () => {
        r.result.close();
        opened = undefined;
      };
      resolve(r.result);
    };
    r.onerror = () => {
      opened = undefined;
      reject(r.error);
    };
  });
  return opened;
}

/**
 * Replaces a value by what change makes of it, in one transaction. Where
 * IndexedDB fails, change is still called, with nothing.
 * @template T
 * @param {string} key
 * @param {(value: any) => T} change undefined removes
 * @returns {Promise<T>} the new value
 */
export async function update(key, change) {
  try {
    const db = await open();
    return await new Promise((resolve, reject) => {
      const tx = db.transaction('kv', 'readwrite');
      const store = tx.objectStore('kv');
      /** @type {T} */
      let value;
      const got = store.get(key);
      got.onsuccess = () => {
        value = change(got.result);
        if (value === undefined) store.delete(key);
        else store.put(value, key);
      };
      tx.oncomplete = () => resolve(value);
      tx.onabort = tx.onerror = () => reject(tx.error);
    });
  } catch {
    return change(undefined);
  }
}

/**
 * Whether a delivery was notified on this device.
 * @param {string} id
 * @returns {Promise<boolean>}
 */
export const wasShown = async (id) => !!(await update('shown', (ids) => ids))?.includes(id);

/**
 * Remembers that a delivery was notified on this device.
 * @param {string} id
 */
export function markShown(id) {
  return update('shown', (/** @type {string[] | undefined} */ ids) => [...(ids ?? []), id].slice(-MAX_SHOWN));
}
