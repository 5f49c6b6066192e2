/**
 * What the tabs share.
 * @module
 */
import { el } from '../page.js';
import { locale } from './words.js';

export { byId, el } from '../page.js';

/**
 * A labelled control.
 * @param {string} label @param {HTMLElement} control @param {string} [classes]
 */
export function field(label, control, classes = '') {
  const e = el('label.field', {}, el('span', {}, label), control);
  if (classes) e.classList.add(classes);
  return e;
}

/** @param {string} label @param {HTMLElement} box */
export function check(label, box) {
  return el('label.check', {}, box, label);
}

/** @param {Record<string, string>} options by value @param {string} value */
export function select(options, value) {
  const s = /** @type {HTMLSelectElement} */ (el('select'));
  for (const [v, words] of Object.entries(options)) s.append(new Option(words, v));
  s.value = value;
  return s;
}

/** @param {boolean} checked */
export function box(checked) {
  return /** @type {HTMLInputElement} */ (el('input', { type: 'checkbox', checked }));
}

/**
 * Calls f after a while, once for all calls until then.
 * @param {() => void} f @param {number} millis
 */
export function soon(f, millis) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      f();
    }, millis);
  };
}

const REACHED = 'a[href], button, input, select, textarea, summary';

/**
 * Replaces what is in e and leaves the focus where it was, as far as that is there still.
 * @param {HTMLElement} e @param {(Node | string)[]} children
 */
export function fill(e, children) {
  const at = [...e.querySelectorAll(REACHED)].indexOf(/** @type {Element} */ (document.activeElement));
  e.replaceChildren(...children);
  if (at < 0) return;
  const now = /** @type {HTMLElement[]} */ ([...e.querySelectorAll(REACHED)]);
  now[Math.min(at, now.length - 1)]?.focus();
}

/** What elements of lists look like. @type {WeakMap<Element, string>} */
const shown = new WeakMap();

/**
 * Shows a list and touches only what differs: what is the same stays, with the focus.
 * @template T
 * @param {HTMLElement} list @param {T[]} items
 * @param {{id: (item: T) => string, as: (item: T) => unknown, make: (item: T) => HTMLElement, update: (e: HTMLElement, item: T) => void}} how
 *   as: what it looks like; make: an empty element; update: its content
 */
export function keyed(list, items, { id, as, make, update }) {
  const old = new Map(/** @type {HTMLElement[]} */ ([...list.children]).map((e) => [e.dataset.id ?? '', e]));
  const ids = new Set(items.map(id));
  for (const [key, e] of old) if (!ids.has(key)) e.remove();
  let next = list.firstElementChild;
  for (const item of items) {
    let e = old.get(id(item));
    if (!e) {
      e = make(item);
      e.dataset.id = id(item);
    }
    if (e === next) next = next.nextElementSibling;
    else list.insertBefore(e, next);
    const looks = JSON.stringify(as(item));
    if (shown.get(e) === looks) continue;
    shown.set(e, looks);
    update(e, item);
  }
}

/** @param {string} at ISO 8601 */
export function moment(at) {
  const d = new Date(at);
  const today = d.toDateString() === new Date().toDateString();
  return d.toLocaleString(locale(), { ...(today ? {} : { month: 'short', day: 'numeric' }), hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
}

/** The viewer's time zone with its offset from UTC. */
export function zone() {
  const part = new Intl.DateTimeFormat('en', { timeZoneName: 'longOffset' }).formatToParts().find((p) => p.type === 'timeZoneName')?.value ?? '';
  return `${Intl.DateTimeFormat().resolvedOptions().timeZone} (${part.replace('GMT', 'UTC')})`;
}

/** @param {string} at ISO 8601 */
export const utc = (at) => `${new Date(at).toISOString().replace('T', ' ').replace('Z', '')} UTC`;

/**
 * Where the tabs stand: the part of the address behind #, as tab?query.
 * @param {string} tab
 */
export function query(tab) {
  const [name, rest] = location.hash.slice(1).split('?');
  return new URLSearchParams((name || 'why') === tab ? rest ?? '' : '');
}

/**
 * Has the address say so; the way back leads to what it said before.
 * @param {string} tab @param {Record<string, string>} values
 */
export function address(tab, values) {
  const q = new URLSearchParams(Object.entries(values).filter(([, v]) => v !== ''));
  const hash = `#${tab}${q.size ? `?${q}` : ''}`;
  if (hash !== location.hash) history.pushState(null, '', hash);
}
