/**
 * What kind of device this is, in words.
 * @module
 */

/**
 * The device in words.
 * @param {string} ua User-Agent
 */
export function deviceLabel(ua) {
  const browser = first(ua, 'Edg:Edge Firefox FxiOS:Firefox CriOS:Chrome Chrom:Chrome Safari') ?? 'Browser';
  const system = first(ua, 'iPhone iPad Android Windows Mac CrOS:ChromeOS Linux');
  return system ? `${browser} on ${system}` : browser;
}

/**
 * @param {string} ua
 * @param {string} words in it and, after a colon, what they mean
 * @returns {string | undefined} of the first that is there
 */
function first(ua, words) {
  return words.split(' ').map((w) => w.split(':')).find(([w]) => ua.includes(w))?.at(-1);
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
