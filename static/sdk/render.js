/**
 * Showing what a notify frame asks for, and knowing whether it was shown.
 * @module
 */
/** @import {NotifyFrame, Options, Self} from './types.js' */
import { notify, permission } from './local.js';
import { markShown } from './storage.js';
import { drawn } from './toast.js';

const MAX_SEEN = 500;

/** @typedef {{rendered: boolean, detail?: string}} Rendered */

/**
 * @param {object} o
 * @param {Options} o.options
 * @param {Promise<ServiceWorkerRegistration | null>} o.registration
 * @param {ReturnType<typeof import('./toast.js').createToasts> | null} o.toasts
 * @param {() => ReturnType<typeof import('./presence.js').watchPresence>} o.presence
 * @param {() => Self | null} o.self
 * @param {() => number} o.version of the unread shown
 */
export function createRenderer({ options, registration, toasts, presence, self, version }) {
  /** @type {Map<string, Promise<Rendered>>} deliveries by id */
  const seen = new Map();

  /**
   * Whether the hub counts on this very page. Frames go to all pages of a login;
   * one that nobody counted on has nothing to deny.
   * @param {NotifyFrame} frame
   */
  function hoped(frame) {
    if (frame.channel === 'local') return true;
    if (frame.reason === 'viewing_conversation') return presence().claimed((s) => s.focus && s.viewing === frame.conversation);
    return frame.reason === 'actively_viewing' && presence().claimed((s) => s.focus);
  }

  /**
   * @param {NotifyFrame} frame
   * @returns {Promise<Rendered>}
   */
  async function toast(frame) {
    const visible = () => document.visibilityState === 'visible';
    if (!visible()) return { rendered: false, detail: 'the page is hidden' };
    if (frame.reason === 'viewing_conversation') {
      const viewing = () => presence().viewing() === frame.conversation;
      if (viewing() && (await drawn()) && visible() && viewing()) return { rendered: true };
      return { rendered: false, detail: 'the page does not show this conversation any more' };
    }
    const byHost = await options.onToast?.(frame.show, frame);
    const el = byHost === true ? null : toasts?.show(frame);
    if (!el && (byHost === false || !options.onToast)) return { rendered: false, detail: 'this page shows no toasts' };
    if (!(await drawn()) || !visible()) return { rendered: false, detail: 'the page was hidden while the toast came up' };
    if (el && el.getClientRects().length === 0) return { rendered: false, detail: 'the toast was not visible' };
    return { rendered: true };
  }

  /**
   * @param {NotifyFrame} frame
   * @returns {Promise<Rendered>}
   */
  async function raise(frame) {
    if (permission() !== 'granted') return { rendered: false, detail: `permission is ${permission()}` };
    const r = await registration;
    if (!r) return { rendered: false, detail: 'this page has no service worker' };
    const { conversation, counts, show, silent } = frame;
    const navigate = show.navigate ?? conversationUrl(conversation);
    await notify(r, show, { agent: self()?.agent, conversation, version: counts?.version ?? version(), navigate }, !!silent);
    await markShown(frame.id);
    return { rendered: true };
  }

  /** @param {string} conversation */
  function conversationUrl(conversation) {
    const u = options.conversationUrl;
    if (typeof u === 'function') return u(conversation);
    return u?.replaceAll('{conversation}', encodeURIComponent(conversation)) ?? location.href;
  }

  return {
    /**
     * Shows a delivery, once however often it comes.
     * @param {NotifyFrame} frame
     * @returns {Promise<Rendered | null>} null: nothing that this page should answer
     */
    async render(frame) {
      let rendering = seen.get(frame.id);
      if (!rendering) {
        rendering = (frame.channel === 'local' ? raise(frame) : toast(frame)).catch((e) => ({
          rendered: false,
          detail: e instanceof Error ? e.message : String(e),
        }));
        seen.set(frame.id, rendering);
        if (seen.size > MAX_SEEN) seen.delete(/** @type {string} */ (seen.keys().next().value));
      }
      const result = await rendering;
      return result.rendered || hoped(frame) ? result : null;
    },
  };
}
