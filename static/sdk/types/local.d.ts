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
export function register(given: import("./types.js").Options["serviceWorker"]): Promise<ServiceWorkerRegistration | null>;
/**
 * Waits until the registration has an active worker: nothing can be shown or subscribed before.
 * @param {ServiceWorkerRegistration} registration
 * @returns {Promise<ServiceWorkerRegistration>}
 */
export function activated(registration: ServiceWorkerRegistration): Promise<ServiceWorkerRegistration>;
/**
 * @template T
 * @param {number} millis
 * @param {Promise<T>} promise
 * @param {string} late
 * @returns {Promise<T>}
 */
export function within<T>(millis: number, promise: Promise<T>, late: string): Promise<T>;
/** @param {unknown} e */
export function message(e: unknown): string;
/** @returns {string} the permission; "denied" where there are no notifications */
export function permission(): string;
/**
 * @param {ServiceWorkerRegistration} registration
 * @param {Show} show
 * @param {NotificationData} data
 * @param {boolean} silent
 * @returns {Promise<void>} resolves when the system has it
 */
export function notify(registration: ServiceWorkerRegistration, show: Show, data: NotificationData, silent: boolean): Promise<void>;
/**
 * Closes the notifications whose data fit.
 * @param {ServiceWorkerRegistration | null} registration
 * @param {(data: NotificationData) => unknown} fits
 */
export function closeWhere(registration: ServiceWorkerRegistration | null, fits: (data: NotificationData) => unknown): Promise<void>;
/**
 * What a notification carries, whoever raised it; sdk/sw-push.js writes and reads the same.
 */
export type NotificationData = {
    /**
     * it is the hub's, not the host's own
     */
    from?: "caac" | undefined;
    tag?: string | undefined;
    agent?: string | undefined;
    conversation?: string | undefined;
    /**
     * of the agent's unread when it was raised
     */
    version?: number | undefined;
    navigate?: string | undefined;
};
import type { Show } from './types.js';
