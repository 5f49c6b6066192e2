/**
 * Permission and the push subscription of this device.
 * @module
 */
/** @import {Api} from './api.js' */
/** @import {DeviceSettings, PushResult, VapidKey} from './types.js' */
import { activated, message, permission, within } from './local.js';
import { keepPushMemory, pushMemory } from './storage.js';

const SUBSCRIBE_WITHIN = 10_000;
const JUST_BOUND = 60_000;

/**
 * @param {'permission' | 'browser' | 'push_service' | 'hub'} side
 * @param {string} reason
 * @param {unknown} [e]
 * @returns {Promise<PushResult>}
 */
async function failed(side, reason, e) {
  const why = e ? ` (${message(e)})` : '';
  const detail = await import('./profile.js').then(({ SAY }) => SAY[reason], () => reason);
  return { ok: false, side, reason, detail: detail + why };
}

/**
 * Whether a subscription was made for this VAPID key.
 * @param {ArrayBuffer | null | undefined} key
 * @param {string} publicKey base64url
 */
export function sameKey(key, publicKey) {
  return !!key && base64url(new Uint8Array(key)) === publicKey.replace(/=+$/, '');
}

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

/**
 * What to do about the subscription at a start, from what the browser has and
 * what the hub has.
 * @param {object} s
 * @param {boolean} s.granted
 * @param {boolean} [s.wanted] this device asked for push, or ended it; absent: neither, as far as is remembered
 * @param {boolean} s.subscribed the browser has a subscription
 * @param {boolean} s.keyFits it was made for the hub's current key
 * @param {boolean} s.endpointFits it is the one the hub has
 * @param {boolean} s.hub the hub has a subscription
 * @param {boolean} s.resubscribe the hub asks for a new one
 * @returns {'nothing' | 'put' | 'subscribe' | 'remove'} put: tell the hub of it; subscribe: a new one;
 *   remove: the hub's is dead
 */
export function repairFor({ granted, wanted, subscribed, keyFits, endpointFits, hub, resubscribe }) {
  if (!granted || !(wanted ?? hub)) return hub ? 'remove' : 'nothing';
  // What the hub has lost may have been refused for good: a new endpoint is certain.
  if (!subscribed || !keyFits || resubscribe || !hub) return 'subscribe';
  return endpointFits ? 'nothing' : 'put';
}

/** @param {string} text */
async function sha256(text) {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return [...new Uint8Array(hash)].map((b) => b.toString(16).padStart(2, '0')).join('');
}

/**
 * One tab of the device at a time.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function alone(work) {
  return navigator.locks.request('caac.push', work);
}

/**
 * @param {ServiceWorkerRegistration} registration
 * @param {VapidKey} vapid
 * @param {boolean} [anew] outside the user's click, in place of whatever subscription there is
 * @returns {Promise<PushSubscription>}
 */
async function subscribe({ pushManager }, vapid, anew) {
  const ask = () => pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: vapid.public });
  const old = await pushManager.getSubscription();
  if (old) {
    if (!anew && sameKey(old.options.applicationServerKey, vapid.public)) return old;
    // Refused beside the old one for its key: it may be replaced. Refused for want
    // of a click, it stays until there is one.
    if (anew) await ask().catch((e) => { if (e.name === 'NotAllowedError') throw e; });
    await old.unsubscribe();
  }
  return ask();
}

/**
 * Gives the hub the subscription.
 * @param {Api} api
 * @param {PushSubscription} subscription
 * @param {VapidKey} vapid
 */
async function bind(api, subscription, vapid) {
  const { endpoint, keys } = subscription.toJSON();
  const settings = await api('PUT', 'v1/device/subscription', { endpoint, keys, key_id: vapid.id });
  keepPushMemory({ wanted: true, endpoint, key: vapid.id, at: Date.now() });
  return settings;
}

/**
 * Asks for permission and subscribes. To be called inside the user's gesture.
 * @param {object} o
 * @param {() => Promise<ServiceWorkerRegistration | null>} o.worker
 * @param {() => Promise<VapidKey>} o.vapid
 * @param {Api} o.api
 * @param {() => void} o.asked the permission may have changed
 * @returns {Promise<PushResult>}
 */
export async function enable({ worker, vapid, api, asked }) {
  if (!('Notification' in globalThis && 'PushManager' in globalThis && 'serviceWorker' in navigator)) return failed('browser', 'unsupported');
  if (permission() !== 'granted') {
    await Notification.requestPermission();
    asked();
  }
  const answer = permission();
  if (answer !== 'granted') return failed('permission', answer === 'denied' ? 'denied' : 'dismissed');

  let active;
  try {
    const r = await worker();
    if (!r) return failed('browser', 'no_worker');
    active = await activated(r);
  } catch (e) {
    return failed('browser', 'no_worker', e);
  }
  let key;
  try {
    key = await vapid();
  } catch (e) {
    return failed('hub', 'no_key', e);
  }

  const subscribing = subscribe(active, key);
  let subscription;
  try {
    subscription = await within(SUBSCRIBE_WITHIN, subscribing, 'late');
  } catch (e) {
    if (message(e) !== 'late') return failed('push_service', 'refused', e);
    // It may still come: then the device has push after all.
    subscribing.then((s) => bind(api, s, key)).then(asked, () => {});
    return failed('push_service', 'unreachable');
  }
  try {
    await bind(api, subscription, key);
  } catch (e) {
    return { ...(await failed('hub', 'not_kept', e)), reason: /** @type {any} */ (e).code };
  }
  return { ok: true, detail: 'Browser notification is granted.' };
}

/**
 * Ends push on this device, in the browser and at the hub.
 * @param {ServiceWorkerRegistration | null} registration
 * @param {Api} api
 */
export async function disable(registration, api) {
  keepPushMemory({ wanted: false });
  const subscription = await registration?.pushManager?.getSubscription();
  await subscription?.unsubscribe();
  await api('DELETE', 'v1/device/subscription');
}

/**
 * Compares the browser's subscription with the hub's and mends what differs.
 * It never asks for permission.
 * @param {ServiceWorkerRegistration | null} registration
 * @param {() => [DeviceSettings, VapidKey]} known what the hub has, as far as it has told by now
 * @param {Api} api
 * @returns {Promise<boolean>} whether something was changed
 */
export async function repair(registration, known, api) {
  if (!registration?.pushManager) return false;
  await activated(registration);
  return alone(async () => {
    const [device, vapid] = known();
    if (!vapid.public) return false;
    const memory = pushMemory();
    const subscription = await registration.pushManager.getSubscription();
    // Another tab mended it after this page was told of the old state.
    const justBound = Math.abs(Date.now() - (memory.at ?? 0)) < JUST_BOUND;
    const endpointFits = !!subscription && (await sha256(subscription.endpoint)) === device.endpoint;
    if (justBound && subscription && !endpointFits && memory.endpoint === subscription.endpoint && memory.key === vapid.id) return false;
    const todo = repairFor({
      granted: permission() === 'granted',
      wanted: memory.wanted,
      subscribed: !!subscription,
      keyFits: sameKey(subscription?.options.applicationServerKey, vapid.public) && (!device.key_id || device.key_id === vapid.id),
      endpointFits,
      hub: device.subscribed,
      resubscribe: !!device.resubscribe,
    });
    if (todo === 'nothing') return false;
    if (todo === 'remove') {
      await api('DELETE', 'v1/device/subscription');
      return true;
    }
    await bind(api, await within(SUBSCRIBE_WITHIN, subscribe(registration, vapid, todo === 'subscribe'), 'late'), vapid);
    return true;
  });
}
