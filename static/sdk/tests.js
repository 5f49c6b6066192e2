/**
 * The Device test and the Push test.
 * @module
 */
/** @import {Api} from './api.js' */
/** @import {PushTestResult, TestFrame, TestResult} from './types.js' */
import { notify, permission } from './local.js';

const RECEIVED_WITHIN = 30_000;
const ASK_EVERY = 1_000;

/**
 * This device raises a notification itself.
 * @param {Promise<ServiceWorkerRegistration | null>} registration
 * @param {string} agent
 * @returns {Promise<TestResult>}
 */
export async function deviceTest(registration, agent) {
  if (permission() !== 'granted') {
    return { ok: false, detail: 'Notifications are not granted for this site on this device.' };
  }
  try {
    const r = await registration;
    if (!r) return { ok: false, detail: 'This page has no service worker to notify with.' };
    const show = { title: 'Device test', body: 'This device can show notifications.', tag: 'caac-device-test' };
    await notify(r, show, { agent, navigate: location.href }, false);
  } catch (e) {
    return { ok: false, detail: `This device could not show it: ${e instanceof Error ? e.message : e}` };
  }
  return { ok: true, detail: 'Shown. If you saw nothing, look at Do Not Disturb or Focus and at the system settings of this browser.' };
}

/**
 * What the states of a test add up to, in words.
 * @param {TestFrame | undefined} accepted
 * @param {TestFrame | undefined} last
 * @param {boolean} here whether this device's worker has it
 * @returns {PushTestResult}
 */
export function resultOf(accepted, last, here) {
  const silenced = last?.silenced ?? accepted?.silenced ?? [];
  if (last?.stage === 'received') {
    return { accepted: true, receivedMillis: last.millis, silenced, detail: `Received after ${(last.millis / 1000).toFixed(last.millis < 100 ? 2 : 1)} s.` };
  }
  if (last?.stage === 'failed') {
    return { accepted: !!accepted, receivedMillis: null, silenced, detail: `The push could not be delivered: ${last.detail || 'the push service refused it'}.` };
  }
  const detail = here
    ? 'This device has received it, but its receipt did not reach the hub.'
    : accepted
      ? 'The push service has accepted it, but this device has not received it within 30 s. Check its network, VPN and power saving.'
      : 'No push service has accepted it within 30 s.';
  return { accepted: !!accepted || here, receivedMillis: null, silenced, detail };
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
  /** @type {Set<() => void>} */
  const waiting = new Set();

  const wake = () => waiting.forEach((f) => f());

  return {
    /** @param {TestFrame} frame */
    frame(frame) {
      frames.set(frame.id, [...(frames.get(frame.id) ?? []), frame]);
      wake();
    },
    /** @param {string} id the worker has shown it */
    shown(id) {
      here.add(id);
    },
    /** @returns {Promise<PushTestResult>} rejects with HubError if the hub refuses the test */
    async run() {
      const { id } = await api('POST', 'v1/device/push-test');
      const until = Date.now() + RECEIVED_WITHIN;
      let known = frames.get(id) ?? [];
      const ended = () => known.some((f) => f.stage === 'received' || f.stage === 'failed');
      while (!ended() && Date.now() < until) {
        await new Promise((resolve) => {
          const go = () => {
            waiting.delete(go);
            clearTimeout(timer);
            resolve(undefined);
          };
          const timer = setTimeout(go, ASK_EVERY);
          waiting.add(go);
        });
        known = frames.get(id) ?? [];
        if (ended()) break;
        const asked = await api('GET', `v1/device/push-test/${encodeURIComponent(id)}`).catch(() => null);
        if (asked?.stage) known = [...known, asked];
      }
      frames.delete(id);
      return resultOf(known.find((f) => f.stage === 'accepted'), known[known.length - 1], here.has(id));
    },
  };
}
