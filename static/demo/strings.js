/**
 * The app's words. en and zh-TW are complete; in ja and th there are the fixed
 * strings that notifications have too, and English for the rest.
 * @module
 */
import { en } from './strings-en.js';
import { zhTW } from './strings-zh-tw.js';
import { FIXED } from './strings-fixed.js';

const KEPT = 'caac.locale';

/** @typedef {keyof typeof en} Key */
/** @type {Record<string, Record<Key, string>>} the complete tables by BCP 47 tag */
export const TABLES = { en, 'zh-TW': zhTW };

/** @param {string} tag BCP 47 @returns {string} the language of the fixed strings that serves it */
export function languageOf(tag) {
  const language = tag.toLowerCase().split(/[-_]/)[0];
  return { zh: 'zh-TW', ja: 'ja', th: 'th' }[language] ?? 'en';
}

function remembered() {
  try {
    return localStorage.getItem(KEPT) ?? '';
  } catch {
    return '';
  }
}

let fixed = languageOf(remembered() || navigator.language);
let table = TABLES[fixed] ? fixed : 'en';

/** The language of the app's words. */
export const language = () => table;
/** The language of the fixed strings. */
export const fixedLanguage = () => fixed;

/**
 * Takes another language, and keeps it for the next start.
 * @param {string} locale BCP 47; empty: the browser's
 * @returns {boolean} whether anything changed
 */
export function speak(locale) {
  try {
    if (locale) localStorage.setItem(KEPT, locale);
  } catch {
    // Then the next start begins in the browser's language.
  }
  const was = fixed;
  fixed = languageOf(locale || navigator.language);
  table = TABLES[fixed] ? fixed : 'en';
  return was !== fixed;
}

/**
 * @param {string} text
 * @param {Record<string, string | number>} values
 */
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));

/**
 * @param {Key} key
 * @param {Record<string, string | number>} [values] for {name} in the text
 */
export const t = (key, values = {}) => fill(TABLES[table][key], values);

/**
 * The words for a key made at run time, or the fallback where there are none.
 * @param {string} key
 * @param {string} fallback
 */
export const maybe = (key, fallback) => (key in en ? t(/** @type {Key} */ (key)) : fallback);

/**
 * The fixed string of a kind of message.
 * @param {string} kind
 */
export const kindWords = (kind) => FIXED[fixed][kind] ?? FIXED[fixed].file;

/** @param {Intl.NumberFormatOptions} [how] */
const numbers = (how) => new Intl.NumberFormat(table, how);

/** @param {number} n */
export const number = (n) => numbers().format(n);

/** @param {number} s seconds, without their unit: to a tenth, below one to a hundredth */
export const seconds = (s) => numbers({ maximumFractionDigits: s < 0.1 ? 2 : 1 }).format(s);

/** @param {number} at Unix ms @returns {string} the time of day */
export const timeOfDay = (at) => new Date(at).toLocaleTimeString(table, { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/**
 * How long ago, in the largest unit that fits.
 * @param {number} at Unix ms
 */
export function ago(at) {
  const minutes = Math.max(1, Math.round((Date.now() - at) / 60_000));
  const format = new Intl.RelativeTimeFormat(table, { numeric: 'auto' });
  if (minutes < 60) return format.format(-minutes, 'minute');
  if (minutes < 24 * 60) return format.format(-Math.round(minutes / 60), 'hour');
  return format.format(-Math.round(minutes / 60 / 24), 'day');
}

/** @param {string[]} parts */
export const list = (parts) => new Intl.ListFormat(table, { type: 'conjunction' }).format(parts);

/**
 * Puts the words into the elements that name them: data-t their text,
 * data-t-label their label, data-t-placeholder their placeholder.
 */
export function translate() {
  document.documentElement.lang = table;
  for (const e of document.querySelectorAll('[data-t]')) e.textContent = t(/** @type {Key} */ (e.getAttribute('data-t')));
  for (const e of document.querySelectorAll('[data-t-label]')) e.setAttribute('aria-label', t(/** @type {Key} */ (e.getAttribute('data-t-label'))));
  for (const e of document.querySelectorAll('[data-t-placeholder]')) e.setAttribute('placeholder', t(/** @type {Key} */ (e.getAttribute('data-t-placeholder'))));
}
