/**
 * What kind of device this is, in words.
 * @module
 */

/**
 * The device in words.
 * @param {string} ua User-Agent
 */
export function deviceLabel(ua) {
  const browser = [[/Edg/, 'Edge'], [/Firefox|FxiOS/, 'Firefox'], [/CriOS|Chrom/, 'Chrome'], [/Safari/, 'Safari']]
    .find(([pattern]) => /** @type {RegExp} */ (pattern).test(ua))?.[1] ?? 'Browser';
  const system = [[/iPhone/, 'iPhone'], [/iPad/, 'iPad'], [/Android/, 'Android'], [/Windows/, 'Windows'], [/Mac OS/, 'Mac'], [/CrOS/, 'ChromeOS'], [/Linux/, 'Linux']]
    .find(([pattern]) => /** @type {RegExp} */ (pattern).test(ua))?.[1];
  return system ? `${browser} on ${system}` : String(browser);
}

/** The hub's word for the kind of device. */
export function platform() {
  const ua = navigator.userAgent;
  if (/Android/.test(ua)) return 'android';
  if (/iP(hone|ad|od)/.test(ua) || (/Macintosh/.test(ua) && navigator.maxTouchPoints > 1)) {
    return matchMedia('(display-mode: standalone)').matches ? 'ios-homescreen' : 'ios';
  }
  return 'desktop';
}
