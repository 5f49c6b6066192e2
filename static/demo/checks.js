/**
 * The troubleshooting steps as checks, judged from what is known. Pure.
 * @module
 */
/** @import {Platform} from './platform.js' */
/** @import {Key} from './strings.js' */
/** @import {PushTestResult, Settings} from '../sdk/types.js' */
import { isMIUI, support } from './platform.js';

/**
 * What is known of this device.
 * @typedef {object} Facts
 * @property {Platform} platform
 * @property {string} permission granted, denied, default or unsupported
 * @property {Settings | null} settings as the hub has them
 * @property {boolean} subscription the browser has one
 * @property {boolean} onDuty
 * @property {boolean} mayDuty the page may set it
 * @property {boolean} online the live connection stands
 * @property {number | null | undefined} ping of the hub in ms; null: no answer; undefined: not yet asked
 * @property {PushTestResult | null} test the last Push test of this page
 * @property {string} model of the device, "" where the browser doesn't tell
 */

/**
 * @typedef {'grant' | 'profile' | 'duty' | 'notify' | 'switch' | 'push_test' | 'again' | 'guide'} Action what a button does
 * @typedef {object} Check
 * @property {string} id
 * @property {number} step of the troubleshooting steps
 * @property {'passed' | 'failed' | 'unknown'} state
 * @property {Key} title
 * @property {Key} words
 * @property {Record<string, string | number>} [values]
 * @property {Key} [next] what to do, where a person has to
 * @property {Action} [action] what to do, where the page can
 */

/** @param {Facts} f @returns {Check[]} */
export function checks(f) {
  const { system } = f.platform;
  const place = system === 'ios' || system === 'android' ? system : 'desktop';
  const quiet = system === 'mac' || system === 'windows' || system === 'ios' || system === 'android' ? system : 'other';
  return [permission(f), device(f), push(f), duty(f), settings(f),
    { id: 'assigned', step: 2, state: 'unknown', title: 'c.assigned', words: 'c.assigned.unknown', next: 'c.assigned.do' },
    { id: 'dnd', step: 3, state: 'unknown', title: 'c.dnd', words: 'c.dnd.unknown', next: `c.dnd.do.${quiet}` },
    { id: 'viewed', step: 3, state: 'passed', title: 'c.viewed', words: 'c.viewed.passed' },
    .../** @type {Check[]} */ (system === 'mac' ? [
      { id: 'stage', step: 3, state: 'unknown', title: 'c.stage', words: 'c.stage.unknown', next: 'c.stage.do' },
      { id: 'sound', step: 3, state: 'unknown', title: 'c.sound', words: 'c.sound.unknown', next: 'c.sound.do' },
    ] : []),
    network(f), vpn(f),
    { id: 'background', step: 6, state: 'unknown', title: 'c.background', words: 'c.background.unknown', next: `c.background.do.${place}` },
    { id: 'battery', step: 7, state: 'unknown', title: 'c.battery', words: 'c.battery.unknown', next: `c.battery.do.${place}` },
    miui(f)];
}

/** @param {Facts} f @returns {Check} */
function permission({ permission: is }) {
  const c = { id: 'permission', step: 1, title: /** @type {Key} */ ('c.permission') };
  switch (is) {
    case 'granted': return { ...c, state: 'passed', words: 'c.permission.passed' };
    case 'default': return { ...c, state: 'failed', words: 'c.permission.default', action: 'grant' };
    case 'denied': return { ...c, state: 'failed', words: 'c.permission.denied', action: 'profile' };
    default: return { ...c, state: 'failed', words: 'c.permission.unsupported', action: 'profile' };
  }
}

/** @param {Facts} f @returns {Check} */
function device({ platform }) {
  const is = support(platform);
  const state = is === 'passed' ? 'passed' : is === 'unknown' || is === 'browser' ? 'unknown' : 'failed';
  return { id: 'device', step: 1, state, title: 'c.device', words: `c.device.${is}`, ...(is !== 'passed' && { next: `c.device.do.${is}` }) };
}

/** @param {Facts} f @returns {Check} */
function push({ settings, subscription, permission }) {
  const c = { id: 'push', step: 1, title: /** @type {Key} */ ('c.push') };
  const fix = permission === 'granted' || permission === 'default' ? 'grant' : 'profile';
  if (settings?.device.subscribed && subscription) return { ...c, state: 'passed', words: 'c.push.passed' };
  return { ...c, state: 'failed', words: settings?.device.subscribed ? 'c.push.lost' : 'c.push.failed', action: fix };
}

/** @param {Facts} f @returns {Check} */
function duty({ onDuty, mayDuty }) {
  const c = { id: 'duty', step: 2, title: /** @type {Key} */ ('c.duty') };
  if (onDuty) return { ...c, state: 'passed', words: 'c.duty.passed' };
  return { ...c, state: 'failed', words: 'c.duty.failed', ...(mayDuty ? { action: 'duty' } : { next: 'c.duty.do.failed' }) };
}

/** @param {Facts} f @returns {Check} */
function settings({ settings: s }) {
  const c = { id: 'settings', step: 2, title: /** @type {Key} */ ('c.settings') };
  if (s && !s.notifications) return { ...c, state: 'failed', words: 'c.settings.muted', action: 'notify' };
  if (s && !s.device.on) return { ...c, state: 'failed', words: 'c.settings.off', action: 'switch' };
  return { ...c, state: 'passed', words: 'c.settings.passed' };
}

/** @param {Facts} f @returns {Check} */
function network({ online, ping }) {
  const c = { id: 'network', step: 4, title: /** @type {Key} */ ('c.network') };
  if (ping === undefined) return { ...c, state: 'unknown', words: 'c.network.looking', action: 'again' };
  if (ping === null) return { ...c, state: 'failed', words: 'c.network.failed', next: 'c.network.do' };
  if (!online) return { ...c, state: 'failed', words: 'c.network.socket', action: 'again' };
  return { ...c, state: 'passed', words: 'c.network.passed', values: { ms: ping } };
}

/** @param {Facts} f @returns {Check} */
function vpn({ test }) {
  const c = { id: 'vpn', step: 5, title: /** @type {Key} */ ('c.vpn') };
  if (!test) return { ...c, state: 'unknown', words: 'c.vpn.unknown', action: 'push_test' };
  if (test.receivedMillis !== null) return { ...c, state: 'passed', words: 'c.vpn.passed', values: { s: seconds(test.receivedMillis) } };
  return { ...c, state: 'failed', words: 'c.vpn.failed', next: 'c.vpn.do.failed' };
}

/** @param {Facts} f @returns {Check} */
function miui({ platform, model }) {
  const c = { id: 'miui', step: 8, title: /** @type {Key} */ ('c.miui') };
  if (platform.system !== 'android' || (model && !isMIUI(model))) return { ...c, state: 'passed', words: 'c.miui.passed' };
  return { ...c, state: 'unknown', words: model ? 'c.miui.model' : 'c.miui.unknown', values: { model }, action: 'guide' };
}

/** @param {number} millis */
export const seconds = (millis) => (millis / 1000).toFixed(millis < 100 ? 2 : 1);
