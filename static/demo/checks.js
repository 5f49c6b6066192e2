/**
 * The troubleshooting steps as checks, judged from what is known. Pure.
 * @module
 */
/** @import {Platform} from './platform.js' */
/** @import {Key} from './strings.js' */
/** @import {PushResult, PushTestResult, Settings, State} from '../sdk/types.js' */
import { isMIUI, reopening, support } from './platform.js';

/**
 * What is known of this device.
 * @typedef {object} Facts
 * @property {Platform} platform
 * @property {string} permission granted, denied, default or unsupported
 * @property {Settings | null} settings as the hub has them; null: it has not said yet
 * @property {boolean} subscription the browser has one
 * @property {boolean} onDuty
 * @property {boolean} mayDuty the page may set it
 * @property {State} connection
 * @property {boolean} online the system says that there is a network
 * @property {number | null | undefined} ping of the hub in ms; null: no answer; undefined: not yet asked
 * @property {Tested | null} test the last Push test of this page
 * @property {PushResult | null} enabled what came of the last try to get push here
 * @property {string} model of the device, "" where the browser doesn't tell
 * @property {boolean} guide there is a guide for MIUI
 */

/**
 * A Push test: under way, refused, or told of; `of` is the subscription it went to,
 * as SHA-256 of its endpoint.
 * @typedef {{of?: string, at: number, result?: PushTestResult, error?: unknown}} Tested
 */

/**
 * @typedef {'grant' | 'push' | 'renew' | 'duty' | 'notify' | 'switch' | 'push_test' | 'again' | 'guide'} Action what a button does
 * @typedef {{seconds?: number, millis?: number, at?: number, error?: unknown, text?: string}} Values for {s}, {ms}, {at}, {why} and {model}
 * @typedef {object} Check
 * @property {string} id
 * @property {number} step of the troubleshooting steps
 * @property {'passed' | 'failed' | 'unknown'} state
 * @property {Key} title
 * @property {Key} words
 * @property {Values} [values]
 * @property {Key} [next] what to do, where a person has to
 * @property {Action} [action] what to do, where the page can
 */

/** @param {Facts} f @returns {Check[]} */
export function checks(f) {
  const { system, tablet } = f.platform;
  const place = system === 'ios' || system === 'android' ? system : 'desktop';
  const quiet = system === 'mac' || system === 'windows' || system === 'ios' || system === 'android' ? system : 'other';
  return [permission(f), device(f), push(f), duty(f), settings(f),
    { id: 'assigned', step: 2, state: 'unknown', title: 'c.assigned', words: 'c.assigned.unknown', next: 'c.assigned.do' },
    { id: 'dnd', step: 3, state: 'unknown', title: 'c.dnd', words: 'c.dnd.unknown', next: `c.dnd.do.${quiet}` },
    { id: 'viewed', step: 3, state: 'passed', title: 'c.viewed', words: 'c.viewed.passed' },
    .../** @type {Check[]} */ (system === 'mac' || tablet
      ? [{ id: 'stage', step: 3, state: 'unknown', title: 'c.stage', words: 'c.stage.unknown', next: 'c.stage.do' }] : []),
    .../** @type {Check[]} */ (system === 'mac'
      ? [{ id: 'sound', step: 3, state: 'unknown', title: 'c.sound', words: 'c.sound.unknown', next: 'c.sound.do' }] : []),
    network(f), vpn(f),
    { id: 'background', step: 6, state: 'unknown', title: 'c.background', words: 'c.background.unknown', next: `c.background.do.${place}` },
    { id: 'battery', step: 7, state: 'unknown', title: 'c.battery', words: 'c.battery.unknown', next: `c.battery.do.${place}` },
    miui(f)];
}

/** @param {Facts} f @returns {Check} */
function permission({ permission: is, platform }) {
  const c = { id: 'permission', step: 1, title: /** @type {Key} */ ('c.permission') };
  switch (is) {
    case 'granted': return { ...c, state: 'passed', words: 'state.granted' };
    case 'default': return { ...c, state: 'failed', words: 'state.default', action: 'grant' };
    case 'denied': return { ...c, state: 'failed', words: 'state.denied', next: `reopen.${reopening(platform)}` };
  }
  return { ...c, state: 'failed', words: 'state.unsupported', ...unsupported(platform) };
}

/** @param {Platform} p @returns {{next: Key}} what to do where the page can have no notifications */
function unsupported(p) {
  const is = support(p);
  return { next: is === 'passed' || is === 'unknown' || is === 'browser' ? 'c.device.do.no_push' : `c.device.do.${is}` };
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
  if (!settings) return { ...c, state: 'unknown', words: 'c.settings.unknown', action: 'again' };
  const { subscribed, resubscribe } = settings.device;
  if (subscribed && subscription && !resubscribe && permission === 'granted') return { ...c, state: 'passed', words: 'c.push.passed' };
  const words = resubscribe ? 'c.push.resubscribe' : subscribed && !subscription ? 'c.push.lost' : 'c.push.failed';
  if (permission === 'granted') return { ...c, state: 'failed', words, action: resubscribe ? 'renew' : 'push' };
  if (permission === 'default') return { ...c, state: 'failed', words, action: 'grant' };
  return { ...c, state: 'failed', words, next: 'c.push.do.permission' };
}

/** @param {Facts} f @returns {Check} */
function duty({ settings, onDuty, mayDuty }) {
  const c = { id: 'duty', step: 2, title: /** @type {Key} */ ('c.duty') };
  if (!settings) return { ...c, state: 'unknown', words: 'c.settings.unknown', action: 'again' };
  if (onDuty) return { ...c, state: 'passed', words: 'c.duty.passed' };
  return { ...c, state: 'failed', words: 'c.duty.failed', ...(mayDuty ? { action: 'duty' } : { next: 'c.duty.do.failed' }) };
}

/** @param {Facts} f @returns {Check} */
function settings({ settings: s }) {
  const c = { id: 'settings', step: 2, title: /** @type {Key} */ ('c.settings') };
  if (!s) return { ...c, state: 'unknown', words: 'c.settings.unknown', action: 'again' };
  if (!s.notifications) return { ...c, state: 'failed', words: 'c.settings.muted', action: 'notify' };
  if (!s.device.on) return { ...c, state: 'failed', words: 'c.settings.off', action: 'switch' };
  return { ...c, state: 'passed', words: 'c.settings.passed' };
}

/** @param {Facts} f @returns {Check} */
function network({ online, connection, ping }) {
  const c = { id: 'network', step: 4, title: /** @type {Key} */ ('c.network') };
  if (!online) return { ...c, state: 'failed', words: 'c.network.offline', next: 'c.network.do' };
  if (ping === null) return { ...c, state: 'failed', words: 'c.network.failed', next: 'c.network.do' };
  if (ping === undefined || connection === 'connecting') return { ...c, state: 'unknown', words: 'c.network.looking', action: 'again' };
  if (connection !== 'online') return { ...c, state: 'failed', words: 'c.network.socket', next: 'c.network.do.socket' };
  return { ...c, state: 'passed', words: 'c.network.passed', values: { millis: ping } };
}

/** @param {Facts} f @returns {Check} */
function vpn({ settings, test, enabled }) {
  const c = { id: 'vpn', step: 5, title: /** @type {Key} */ ('c.vpn') };
  if (!settings?.device.subscribed) {
    if (enabled?.side === 'push_service') return { ...c, state: 'failed', words: `c.vpn.${enabled.reason === 'unreachable' ? 'unreachable' : 'no_subscription'}`, next: 'c.vpn.do.failed' };
    return { ...c, state: 'unknown', words: 'c.vpn.unknown', next: 'c.vpn.do.subscribe' };
  }
  // Another subscription proves nothing of this one.
  if (!test || test.of !== settings.device.endpoint) return { ...c, state: 'unknown', words: 'c.vpn.unknown', action: 'push_test' };
  const { at, result, error } = test;
  if (error) return { ...c, state: 'unknown', words: 'c.vpn.not_sent', values: { error }, action: 'push_test' };
  if (!result) return { ...c, state: 'unknown', words: 'test.sending' };
  if (result.receivedMillis !== null) return { ...c, state: 'passed', words: 'c.vpn.passed', values: { seconds: result.receivedMillis / 1000, at } };
  if (!result.accepted) return { ...c, state: 'failed', words: 'c.vpn.refused', values: { at }, next: 'c.vpn.do.refused' };
  return { ...c, state: 'failed', words: 'c.vpn.failed', values: { at }, next: 'c.vpn.do.failed' };
}

/** @param {Facts} f @returns {Check} */
function miui({ platform, model, guide }) {
  const c = { id: 'miui', step: 8, title: /** @type {Key} */ ('c.miui') };
  if (platform.system !== 'android' || (model && !isMIUI(model))) return { ...c, state: 'passed', words: 'c.miui.passed' };
  return { ...c, state: 'unknown', words: model ? 'c.miui.model' : 'c.miui.unknown', values: { text: model }, ...(guide ? { action: 'guide' } : { next: 'c.miui.do' }) };
}
