/**
 * This device raises a notification itself.
 * @param {typeof import('./local.js').notify} notify
 * @param {Promise<ServiceWorkerRegistration | null>} registration
 * @param {string} agent
 * @param {string} locale the agent's
 * @returns {Promise<TestResult>}
 */
export function deviceTest(notify: typeof import("./local.js").notify, registration: Promise<ServiceWorkerRegistration | null>, agent: string, locale: string): Promise<TestResult>;
/**
 * What the states of a test add up to, in words, in whatever order they came.
 * @param {TestFrame[]} frames
 * @param {boolean} here whether this device's worker has it
 * @returns {PushTestResult}
 */
export function resultOf(frames: TestFrame[], here: boolean): PushTestResult;
/**
 * Push tests of this page: a real push, and what became of it.
 * @param {Api} api
 */
export function createPushTests(api: Api): {
    /** @param {TestFrame} frame */
    frame(frame: TestFrame): void;
    /** @param {string} id the worker has shown it */
    shown: (id: string) => Set<string>;
    /** @returns {Promise<PushTestResult>} rejects with HubError if the hub refuses the test */
    run(): Promise<PushTestResult>;
};
/** @type {Record<string, string>} why there is no push, in English, by the reason of a PushResult */
export const SAY: Record<string, string>;
/** @type {Record<string, {title: string, body: string, lang: string}>} what the Device test's notification says, by language */
export const DEVICE_TEST: Record<string, {
    title: string;
    body: string;
    lang: string;
}>;
import type { TestResult } from './types.js';
import type { TestFrame } from './types.js';
import type { PushTestResult } from './types.js';
import type { Api } from './api.js';
