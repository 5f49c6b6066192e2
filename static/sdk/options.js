/**
 * What a host says to connect, checked before anything is done with it.
 * @module
 */
/** @import {Options} from './types.js' */

/** @type {Record<string, string>} the kinds of value allowed, by option */
const ALLOWED = {
  url: 'string',
  token: 'function',
  place: 'string',
  serviceWorker: 'string, object or false',
  onCounts: 'function',
  onToast: 'function',
  onOpen: 'function',
  onDuty: 'function',
  onSettings: 'function',
  onState: 'function',
  onWithdraw: 'function',
  toast: 'object or false',
  title: 'true or false',
  favicon: 'true or false',
  badge: 'true or false',
  conversationUrl: 'string or function',
};

/**
 * @param {Options} options
 * @returns {URL} the hub's base, with a slash at its end
 * @throws {TypeError} says what is wrong and what is allowed
 */
export function checkOptions(options) {
  for (const [name, value] of Object.entries({ ...options, token: options?.token })) {
    const kind = value === null || typeof value === 'boolean' ? `${value}` : typeof value;
    const allowed = ALLOWED[name] ?? 'nothing: there is no such option';
    if (!allowed.includes(kind) && (value !== undefined || name === 'token')) throw new TypeError(`connect: ${name} is ${kind}, allowed is ${allowed}`);
  }
  const base = new URL(options.url || '/', location.href);
  if (!/^http/.test(base.protocol)) throw new TypeError(`connect: url is ${base}, allowed is http or https`);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return base;
}
