/**
 * Whether a subscription was made for this VAPID key.
 * @param {ArrayBuffer | null | undefined} key
 * @param {string} publicKey base64url
 */
export function sameKey(key: ArrayBuffer | null | undefined, publicKey: string): boolean;
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
export function repairFor({ granted, wanted, subscribed, keyFits, endpointFits, hub, resubscribe }: {
    granted: boolean;
    wanted?: boolean | undefined;
    subscribed: boolean;
    keyFits: boolean;
    endpointFits: boolean;
    hub: boolean;
    resubscribe: boolean;
}): "nothing" | "put" | "subscribe" | "remove";
/**
 * Asks for permission and subscribes. To be called inside the user's gesture.
 * @param {object} o
 * @param {() => Promise<ServiceWorkerRegistration | null>} o.worker
 * @param {() => Promise<VapidKey>} o.vapid
 * @param {Api} o.api
 * @param {() => void} o.asked the permission may have changed
 * @returns {Promise<PushResult>}
 */
export function enable({ worker, vapid, api, asked }: {
    worker: () => Promise<ServiceWorkerRegistration | null>;
    vapid: () => Promise<VapidKey>;
    api: Api;
    asked: () => void;
}): Promise<PushResult>;
/**
 * Ends push on this device, in the browser and at the hub.
 * @param {ServiceWorkerRegistration | null} registration
 * @param {Api} api
 */
export function disable(registration: ServiceWorkerRegistration | null, api: Api): Promise<void>;
/**
 * Compares the browser's subscription with the hub's and mends what differs.
 * It never asks for permission.
 * @param {ServiceWorkerRegistration | null} registration
 * @param {() => [DeviceSettings, VapidKey]} known what the hub has, as far as it has told by now
 * @param {Api} api
 * @returns {Promise<boolean>} whether something was changed
 */
export function repair(registration: ServiceWorkerRegistration | null, known: () => [DeviceSettings, VapidKey], api: Api): Promise<boolean>;
import type { VapidKey } from './types.js';
import type { Api } from './api.js';
import type { PushResult } from './types.js';
import type { DeviceSettings } from './types.js';
