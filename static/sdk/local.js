/**
 * System notifications that the page itself raises, and closing those that stand.
 * @module
 */
/** @import {Show} from './types.js' */

const WITHIN = 10_000;
const SHOW_WITHIN = 2_500;

/**
 * What a notification carries, whoever raised it; sdk/sw-push.js writes and reads the same.
 * @typedef {object} NotificationData
 * @property {'caac'} [from] it is the hub's, not the host's own
 * @property {string} [tag]
 * @property {string} [agent]
 * @property {string} [conversation]
 * @property {number} [version] of the agent's unread when it was raised
 * @property {string} [navigate]
 */

/**
 * @param {import('./types.js').Options['serviceWorker']} given
 * @returns {Promise<ServiceWorkerRegistration | null>} null: none here. Rejects if the worker can't be registered.
 */
export async function register(given) {
  const worker = await given;
  if (worker === false || !('serviceWorker' in navigator)) return null;
  if (worker instanceof ServiceWorkerRegistration) return worker;
  return navigator.serviceWorker.register(worker ?? '/sw.js');
}

/**
 * Waits until the registration has an active worker: nothing can be shown or subscribed before.
 * @param {ServiceWorkerRegistration} registration
 * @returns {Promise<ServiceWorkerRegistration>}
 */
export async function activated(registration) {
  if (registration.active) return registration;
  const worker = registration.installing ?? registration.waiting;
  await within(WITHIN, new Promise((resolve, reject) => {
    const look = () => {
      if (registration.active) resolve(undefined);
      else if (!worker || worker.state === 'redundant') reject(new Error('the service worker was not installed'));
    };
    worker?.addEventListener('statechange', look);
    look();
  }), 'the service worker was not ready');
  return registration;
}

/**
 * @template T
 * @param {number} millis
 * @param {Promise<T>} promise
 * @param {string} late
 * @returns {Promise<T>}
 */
export function within(millis, promise, late) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(late)), millis);
  });
  return Promise.race([promise, /** @type {Promise<never>} */ (timeout)]).finally(() => clearTimeout(timer));
}

/** @param {unknown} e */
export function message(e) {
  return e instanceof Error ? e.message : String(e);
}

/** @returns {string} the permission; "denied" where there are no notifications */
export function permission() {
  return 'Notification' in globalThis ? Notification.permission : 'denied';
}

/** Whether a newer notification with the same tag leaves the older one standing. */
function tagsDoNothing() {
  return /AppleWebKit/.test(navigator.userAgent) && !/Chrom(e|ium)|Edg|Android/.test(navigator.userAgent);
}

/**
 * @param {ServiceWorkerRegistration} registration
 * @param {Show} show
 * @param {NotificationData} data
 * @param {boolean} silent
 * @returns {Promise<void>} resolves when the system has it
 */
export async function notify(registration, show, data, silent) {
  await activated(registration);
  if (tagsDoNothing()) await closeWhere(registration, (d) => d.tag === show.tag);
  await within(
    SHOW_WITHIN,
    registration.showNotification(show.title, {
      body: show.body ?? '',
      tag: show.tag,
      renotify: !silent,
      silent,
      lang: show.lang ?? '',
      ...(show.image && { image: show.image }),
      data: { ...data, from: 'caac', tag: show.tag },
    }),
    'the system did not take the notification',
  );
}

/**
 * Closes the notifications whose data fit.
 * @param {ServiceWorkerRegistration | null} registration
 * @param {(data: NotificationData) => unknown} fits
 */
export async function closeWhere(registration, fits) {
  try {
    for (const n of (await registration?.getNotifications()) ?? []) {
      if (fits(n.data ?? {})) n.close();
    }
  } catch {
    // A platform that can't list them closes none.
  }
}
