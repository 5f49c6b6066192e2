/**
 * What this device is, and what has to be done on its platform before it can
 * notify. Pure but for look().
 * @module
 */

/**
 * @typedef {object} Platform
 * @property {'mac' | 'windows' | 'ios' | 'android' | 'other'} system
 * @property {number[]} version of iOS, [major, minor]; else empty
 * @property {'chrome' | 'edge' | 'firefox' | 'safari' | 'other'} browser
 * @property {boolean} standalone opened as an app
 * @property {boolean} push the page can have notifications and push
 */

/**
 * @param {{ua: string, touch: number, standalone: boolean, push: boolean}} p
 * @returns {Platform}
 */
export function platformOf({ ua, touch, standalone, push }) {
  const ios = /iP(hone|ad|od)/.test(ua) || (/Macintosh/.test(ua) && touch > 1);
  const [, major, minor] = (ios && (/ OS (\d+)[_.](\d+)/.exec(ua) ?? /Version\/(\d+)\.(\d+)/.exec(ua))) || [];
  // An iPad that says it is a Mac tells its version by Safari's.
  const [, safari, safariMinor] = (ios && /Macintosh/.test(ua) && /Version\/(\d+)\.(\d+)/.exec(ua)) || [];
  return {
    system: ios ? 'ios' : /Android/.test(ua) ? 'android' : /Windows/.test(ua) ? 'windows' : /Macintosh|Mac OS/.test(ua) ? 'mac' : 'other',
    version: safari ? [Number(safari), Number(safariMinor)] : major ? [Number(major), Number(minor)] : [],
    browser: /Edg/.test(ua) ? 'edge' : /Firefox|FxiOS/.test(ua) ? 'firefox' : /CriOS|Chrom/.test(ua) ? 'chrome' : /Safari|AppleWebKit/.test(ua) ? 'safari' : 'other',
    standalone,
    push,
  };
}

/** @returns {Platform} this page's */
export function look() {
  return platformOf({
    ua: navigator.userAgent,
    touch: navigator.maxTouchPoints,
    standalone: matchMedia('(display-mode: standalone)').matches || /** @type {any} */ (navigator).standalone === true,
    push: 'Notification' in globalThis && 'PushManager' in globalThis && 'serviceWorker' in navigator,
  });
}

/** @param {number[]} version @param {number} major @param {number} minor */
const below = ([a = 99, b = 0], major, minor) => a < major || (a === major && b < minor);

/**
 * What this platform needs first: a newer system, the home screen, three
 * switches in the settings; or, on Android, to let Chrome run.
 * @param {Platform} p
 * @returns {'old' | 'home' | 'switches' | 'android' | ''}
 */
export function needs(p) {
  if (p.system === 'ios') {
    if (below(p.version, 16, 4)) return 'old';
    if (!p.standalone) return 'home';
    return p.push ? '' : 'switches';
  }
  return p.system === 'android' ? 'android' : '';
}

/**
 * Whether this is one of the supported devices.
 * @param {Platform} p
 * @returns {'passed' | 'unknown' | 'browser' | 'ios_old' | 'ios_home' | 'ios_switches' | 'no_push'}
 */
export function support(p) {
  if (p.system === 'ios') {
    const need = needs(p);
    return need === 'old' ? 'ios_old' : need === 'home' ? 'ios_home' : need === 'switches' ? 'ios_switches' : 'passed';
  }
  if (!p.push) return 'no_push';
  if (p.system === 'other') return 'unknown';
  return p.browser === 'chrome' ? 'passed' : 'browser';
}

/**
 * The device's model where the browser tells it: Android's without a look at the
 * User-Agent, which no longer does.
 * @returns {Promise<string>}
 */
export async function model() {
  const data = /** @type {any} */ (navigator).userAgentData;
  const known = await data?.getHighEntropyValues?.(['model']).catch(() => null);
  return known?.model ?? '';
}

/** @param {string} model */
export const isMIUI = (model) => /^(mi|redmi|poco|xiaomi|m2\d|2\d{3,})/i.test(model.trim());
