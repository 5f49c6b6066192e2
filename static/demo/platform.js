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
 * @property {boolean} tablet an iPad
 * @property {boolean} inApp a page shown inside another app, which can't be added to the home screen
 * @property {boolean} standalone opened as an app
 * @property {boolean} push the page can have notifications and push
 */

/**
 * @param {{ua: string, touch: number, standalone: boolean, push: boolean}} p
 * @returns {Platform}
 */
export function platformOf({ ua, touch, standalone, push }) {
  // An iPad says that it is a Mac, unless it was asked for mobile pages.
  const tablet = /iPad/.test(ua) || (/Macintosh/.test(ua) && touch > 1);
  const ios = tablet || /iP(hone|od)/.test(ua);
  return {
    system: ios ? 'ios' : /Android/.test(ua) ? 'android' : /Windows/.test(ua) ? 'windows' : /Macintosh|Mac OS/.test(ua) ? 'mac' : 'other',
    version: ios ? iosVersion(ua) : [],
    browser: /SamsungBrowser|OPR\/|OPT\/|MiuiBrowser|UCBrowser|YaBrowser|Vivaldi/.test(ua) ? 'other'
      : /Edg/.test(ua) ? 'edge' : /Firefox|FxiOS/.test(ua) ? 'firefox' : /CriOS|Chrom/.test(ua) ? 'chrome' : /Safari|AppleWebKit/.test(ua) ? 'safari' : 'other',
    tablet,
    inApp: / Line\/|FBA[NV]|Instagram|MicroMessenger|GSA\/|; wv\)/.test(ua),
    standalone,
    push,
  };
}

/**
 * Since iOS 26 the system's part of the User-Agent stands still and only Safari's
 * version tells; Chrome's on a tablet's desktop pages says a version of its own.
 * @param {string} ua
 * @returns {number[]} empty where it isn't told
 */
function iosVersion(ua) {
  const system = / OS (\d+)[_.](\d+)/.exec(ua);
  const safari = /CriOS|FxiOS|EdgiOS|OPT\//.test(ua) ? null : /Version\/(\d+)\.(\d+)/.exec(ua);
  const told = [system, safari].flatMap((v) => (v ? [[Number(v[1]), Number(v[2])]] : []));
  return told.sort(([a, b], [c, d]) => c - a || d - b)[0] ?? [];
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
 * What this platform needs first: a newer system, a browser that can add to the
 * home screen, the home screen, three switches in the settings; or, on Android,
 * to let Chrome run.
 * @param {Platform} p
 * @returns {'old' | 'in_app' | 'home' | 'switches' | 'android' | ''}
 */
export function needs(p) {
  if (p.system === 'ios') {
    if (below(p.version, 16, 4)) return 'old';
    if (!p.standalone) return p.inApp ? 'in_app' : 'home';
    return p.push ? '' : 'switches';
  }
  return p.system === 'android' && p.push ? 'android' : '';
}

/**
 * Where the share button is.
 * @param {Platform} p
 * @returns {'iphone' | 'ipad' | 'chrome' | 'menu'}
 */
export function shareButton(p) {
  if (p.browser === 'safari') return p.tablet ? 'ipad' : 'iphone';
  return p.browser === 'chrome' ? 'chrome' : 'menu';
}

/**
 * By whose settings blocked notifications are allowed again.
 * @param {Platform} p
 * @returns {'ios' | 'android_app' | 'android_firefox' | 'android' | 'mac_app' | 'app' | 'firefox' | 'safari' | 'chrome'}
 */
export function reopening(p) {
  switch (p.system) {
    case 'ios': return 'ios';
    case 'android': return p.standalone ? 'android_app' : p.browser === 'firefox' ? 'android_firefox' : 'android';
  }
  if (p.standalone) return p.browser === 'safari' ? 'mac_app' : 'app';
  return p.browser === 'firefox' || p.browser === 'safari' ? p.browser : 'chrome';
}

/**
 * Whether this is one of the supported devices.
 * @param {Platform} p
 * @returns {'passed' | 'unknown' | 'browser' | 'ios_old' | 'ios_in_app' | 'ios_home' | 'ios_switches' | 'no_push'}
 */
export function support(p) {
  if (p.system === 'ios') {
    const need = needs(p);
    return need === 'old' || need === 'in_app' || need === 'home' || need === 'switches' ? `ios_${need}` : 'passed';
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
export const isMIUI = (model) => /^(mix?\b|redmi|poco|xiaomi|m2\d|2\d{3,})/i.test(model.trim());
