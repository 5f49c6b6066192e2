/**
 * What the tabs share.
 * @module
 */
import { locale } from './words.js';

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return /** @type {T} */ (found);
}

/**
 * @param {string} tag with classes: "li.big"
 * @param {Record<string, any>} [props] properties; those with a hyphen are attributes
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElement}
 */
export function el(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  const e = document.createElement(name);
  if (classes.length) e.className = classes.join(' ');
  for (const [k, v] of Object.entries(props)) {
    if (k.includes('-')) e.setAttribute(k, v);
    else Object.assign(e, { [k]: v });
  }
  e.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

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
 * Calls f soon, once for many calls.
 * @param {() => void} f @param {number} millis
 */
export function soon(f, millis) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(f, millis);
  };
}

/** @param {string} at ISO 8601 */
export function moment(at) {
  const d = new Date(at);
  const today = d.toDateString() === new Date().toDateString();
  return d.toLocaleString(locale(), { ...(today ? {} : { month: 'short', day: 'numeric' }), hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
}
