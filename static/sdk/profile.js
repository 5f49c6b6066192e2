/**
 * What is loaded when an agent asks for it: the Device test, the Push test, and
 * words for what went wrong. It imports nothing, so that it is a file by itself.
 * @module
 */
/** @import {Api} from './api.js' */
/** @import {PushTestResult, TestFrame, TestResult} from './types.js' */

const RECEIVED_WITHIN = 30_000;
const ASK_EVERY = 1_000;

/** @type {Record<string, string>} why there is no push, in English, by the reason of a PushResult */
export const SAY = {
  unsupported: 'This browser has no web push. On an iPhone or iPad: share button, "Add to Home Screen", open it from there.',
  no_worker: 'The service worker of this page could not be installed.',
  denied: 'Notifications are blocked for this site. Allow them in the settings beside the address bar.',
  dismissed: 'The question was closed without an answer. Try again.',
  no_key: 'The hub did not say which key to subscribe with.',
  unreachable: "This browser's push service could not be reached within 10 s. A VPN or firewall may block it.",
  refused: "This browser's push service gave no subscription. Common causes: no internet, a VPN or firewall, a private window.",
  not_kept: 'The browser has subscribed, but the hub did not take the subscription.',
};

/** @type {Record<string, {title: string, body: string, lang: string}>} what the Device test's notification says, by language */
export const DEVICE_TEST = {
  en: { title: 'Device test', body: 'This device can show notifications.', lang: 'en' },
  zh: { title: '裝置測試', body: '此裝置可以顯示通知。', lang: 'zh-TW' },
  ja: { title: 'デバイステスト', body: 'このデバイスは通知を表示できます。', lang: 'ja' },
  th: { title: 'ทดสอบอุปกรณ์', body: 'อุปกรณ์นี้แสดงการแจ้งเตือนได้', lang: 'th' },
};

/**
 * @param {'not_granted' | 'no_worker' | 'not_shown'} reason
 * @param {string} detail
 * @returns {TestResult}
 */
const failed = (reason, detail) => ({ ok: false, reason, detail });

/**
 * This device raises a notification itself.
 * @param {typeof import('./local.js').notify} notify
 * @param {Promise<ServiceWorkerRegistration | null>} registration
 * @param {string} agent
 * @param {string} locale the agent's
 * @returns {Promise<TestResult>}
 */
export async function deviceTest(notify, registration, agent, locale) {
  if (globalThis.Notification?.permission !== 'granted') return failed('not_granted', 'Notifications are not granted for this site on this device.');
  try {
    const r = await registration;
    if (!r) return failed('no_worker', 'This page has no service worker to notify with.');
    const words = DEVICE_TEST[locale.slice(0, 2).toLowerCase()] ?? DEVICE_TEST.en;
    await notify(r, { .../** @type {NonNullable<typeof words>} */ (words), tag: 'caac-device-test' }, { agent, navigate: location.href }, false);
  } catch (e) {
    return failed('not_shown', `This device could not show it: ${e instanceof Error ? e.message : e}`);
  }
  return { ok: true, detail: 'Shown. If you saw nothing, look at Do Not Disturb or Focus and at the system settings of this browser.' };
}

/**
 * What the states of a test add up to, in words, in whatever order they came.
 * @param {TestFrame[]} frames
 * @param {boolean} here whether this device's worker has it
 * @returns {PushTestResult}
 */
export function resultOf(frames, here) {
  const last = frames.at(-1);
  const at = (/** @type {string} */ stage) => frames.find((f) => f.stage === stage);
  const accepted = at('accepted');
  const received = at('received');
  const refused = at('failed');
  const result = { accepted: !!accepted, receivedMillis: null, silenced: last?.silenced ?? accepted?.silenced ?? [] };
  if (received) {
    const { millis } = received;
    return { ...result, accepted: true, receivedMillis: millis, detail: `Received after ${(millis / 1000).toFixed(millis < 100 ? 2 : 1)} s.` };
  }
  if (refused) return { ...result, detail: `The push could not be delivered: ${refused.detail || 'the push service refused it'}.` };
  if (here) return { ...result, accepted: true, detail: 'This device has received it, but its receipt did not reach the hub.' };
  return {
    ...result,
    detail: accepted
      ? 'The push service has accepted it, but this device has not received it within 30 s. Check its network, VPN and power saving.'
      : 'No push service has accepted it within 30 s.',
  };
}

/**
 * Push tests of this page: a real push, and what became of it.
 * @param {Api} api
 */
export function createPushTests(api) {
  /** @type {Map<string, TestFrame[]>} */
  const frames = new Map();
  /** @type {Set<string>} */
  const here = new Set();
  let wake = () => {};

  /**
   * @param {string} id
   * @param {TestFrame[]} more
   */
  const add = (id, ...more) => frames.set(id, [...(frames.get(id) ?? []), ...more]).get(id) ?? [];

  return {
    /** @param {TestFrame} frame */
    frame(frame) {
      add(frame.id, frame);
      wake();
    },
    /** @param {string} id the worker has shown it */
    shown: (id) => here.add(id),
    /** @returns {Promise<PushTestResult>} rejects with HubError if the hub refuses the test */
    async run() {
      const { id } = await api('POST', 'v1/device/push-test');
      const until = Date.now() + RECEIVED_WITHIN;
      let known = add(id);
      const ended = () => (known = add(id)).some((f) => f.stage === 'received' || f.stage === 'failed');
      while (!ended() && Date.now() < until) {
        await new Promise((resolve) => {
          setTimeout(resolve, ASK_EVERY);
          wake = () => resolve(undefined);
        });
        if (ended()) break;
        const asked = await api('GET', `v1/device/push-test/${id}`).catch(() => null);
        if (asked?.stage) add(id, asked);
      }
      frames.delete(id);
      return resultOf(known, here.has(id));
    },
  };
}
