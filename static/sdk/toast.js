/**
 * Toasts inside the page.
 * @module
 */
/** @import {NotifyFrame} from './types.js' */

const STAYS = 8_000;
const MOST = 4;

const CSS = `:host{all:initial;display:block;font:14px/1.4 system-ui;color-scheme:light dark}
:host(.corner){position:fixed;z-index:9999999;right:16px;bottom:16px;width:min(340px,100vw - 32px)}
.toast{display:flex;gap:8px;margin-top:8px;padding:12px;border-radius:8px;cursor:pointer;background:Canvas;color:CanvasText;border:1px solid #8888;box-shadow:0 4px 16px #0004}
.text{flex:1;min-width:0}.title{font-weight:600}
.text *{overflow:hidden;overflow-wrap:anywhere;display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:2}
button{all:unset;padding:0 6px}:focus-visible{outline:2px solid Highlight}`;

/**
 * Waits for the next frame the browser draws; false if it draws none within two
 * seconds, before the hub stops waiting for an answer.
 * @returns {Promise<boolean>}
 */
export function drawn() {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(false), 2_000);
    requestAnimationFrame(() => {
      clearTimeout(late);
      resolve(true);
    });
  });
}

/**
 * @param {HTMLElement | undefined} parent where toasts stand; else a corner of the page
 * @param {(conversation: string) => void} open
 */
export function createToasts(parent, open) {
  const host = document.createElement('div');
  if (!parent) host.className = 'corner';
  host.setAttribute('role', 'status');
  const root = host.attachShadow({ mode: 'open' });
  try {
    // Not a style element: that would need 'unsafe-inline' in the page's policy.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
    root.adoptedStyleSheets = [sheet];
  } catch {
    // Plain text is still readable.
  }
  /** @type {Map<string, {el: HTMLElement, conversation: string, timer: ReturnType<typeof setTimeout>}>} by tag */
  const toasts = new Map();

  /** @param {string} tag */
  const remove = (tag) => {
    const t = toasts.get(tag);
    if (!t) return;
    clearTimeout(t.timer);
    t.el.remove();
    toasts.delete(tag);
    if (toasts.size === 0) host.remove();
  };

  return {
    /**
     * Draws a toast, in place of an older one with its tag.
     * @param {NotifyFrame} frame
     * @returns {HTMLElement}
     */
    show({ show, conversation }) {
      remove(show.tag);
      for (const tag of toasts.keys()) if (toasts.size >= MOST) remove(tag);
      if (!host.isConnected) (parent ?? document.body).append(host);
      const el = document.createElement('div');
      el.className = 'toast';
      el.tabIndex = 0;
      el.setAttribute('part', 'toast');
      const text = document.createElement('div');
      text.className = 'text';
      for (const [name, value] of [['title', show.title], ['body', show.body]]) {
        if (!value) continue;
        const line = document.createElement('div');
        line.className = /** @type {string} */ (name);
        line.textContent = value;
        if (show.lang) line.lang = show.lang;
        text.append(line);
      }
      const close = document.createElement('button');
      close.textContent = '×';
      close.setAttribute('aria-label', 'Close');
      el.append(text, close);
      el.addEventListener('click', (e) => {
        remove(show.tag);
        if (e.target !== close) open(conversation);
      });
      el.addEventListener('keydown', (e) => {
        if (e.target === el && e.key === 'Enter') el.click();
      });
      root.append(el);
      toasts.set(show.tag, { el, conversation, timer: setTimeout(() => remove(show.tag), STAYS) });
      return el;
    },
    /** @param {string} conversation */
    close(conversation) {
      for (const [tag, t] of toasts) if (t.conversation === conversation) remove(tag);
    },
    stop() {
      for (const tag of [...toasts.keys()]) remove(tag);
    },
  };
}
