/**
 * Toasts inside the page.
 * @module
 */
/** @import {NotifyFrame} from './types.js' */

const STAYS = 8_000;
const MOST = 4;

const CSS = `:host{all:initial;display:block;font:14px/1.4 system-ui;color-scheme:light dark}
:host([popover]){position:fixed;z-index:9999999;right:16px;bottom:16px;width:min(340px,100vw - 32px)}
.toast{display:flex;gap:8px;margin-top:8px;padding:12px;border-radius:8px;cursor:pointer;background:Canvas;color:CanvasText;border:1px solid #8888;box-shadow:0 4px 16px #0004}
.text{flex:1;min-width:0}.title{font-weight:600}
.text *{text-align:start;overflow:hidden;overflow-wrap:anywhere;display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:2}
button{all:unset}button+button{padding:0 8px}:focus-visible{outline:2px solid Highlight}`;

/** @type {Record<string, string>} */
const CLOSE = { 'zh-TW': '關閉', ja: '閉じる', th: 'ปิด' };

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
  if (!parent) host.setAttribute('popover', 'manual');
  // A live region tells of what comes into it: it is there before, and stays.
  host.role = 'status';
  host.ariaAtomic = 'false';
  const root = host.attachShadow({ mode: 'open' });
  try {
    // Not a style element: that would need 'unsafe-inline' in the page's policy.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
    root.adoptedStyleSheets = [sheet];
  } catch {
    // Plain text is still readable.
  }
  const stand = () => (parent ?? document.body)?.append(host);
  stand();
  /** @type {Map<string, {el: HTMLElement, conversation: string, timer: ReturnType<typeof setTimeout>}>} by tag */
  const toasts = new Map();

  /** @param {string} tag */
  const remove = (tag) => {
    const t = toasts.get(tag);
    clearTimeout(t?.timer);
    t?.el.remove();
    toasts.delete(tag);
  };

  return {
    /**
     * Draws a toast, in place of an older one with its tag.
     * @param {NotifyFrame} frame
     * @returns {HTMLElement}
     */
    show({ show, conversation }) {
      const { tag, lang } = show;
      remove(tag);
      for (const old of toasts.keys()) if (toasts.size >= MOST) remove(old);
      if (!host.isConnected) stand();
      const el = document.createElement('div');
      el.className = 'toast';
      el.part = 'toast';
      if (lang) el.lang = lang;
      const text = document.createElement('button');
      text.className = 'text';
      for (const name of /** @type {('title' | 'body')[]} */ (['title', 'body'])) {
        const line = document.createElement('div');
        line.className = name;
        line.dir = 'auto';
        line.textContent = show[name] ?? '';
        text.append(line);
      }
      const close = document.createElement('button');
      close.textContent = '×';
      close.ariaLabel = CLOSE[lang ?? ''] ?? 'Close';
      el.append(text, close);
      el.onclick = (e) => {
        remove(tag);
        if (e.target !== close) open(conversation);
      };
      root.append(el);
      if (!parent) {
        // Above a dialog or full screen that came up after it.
        host.hidePopover?.();
        host.showPopover?.();
      }
      // It stays while a person is at it.
      const wait = () =>
        setTimeout(() => {
          if (el.matches(':hover,:focus-within')) toast.timer = wait();
          else remove(tag);
        }, STAYS);
      const toast = { el, conversation, timer: wait() };
      toasts.set(tag, toast);
      return el;
    },
    /** @param {string} conversation */
    close(conversation) {
      for (const [tag, t] of toasts) if (t.conversation === conversation) remove(tag);
    },
    stop() {
      for (const tag of [...toasts.keys()]) remove(tag);
      host.remove();
    },
  };
}
