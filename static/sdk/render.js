/**
 * Showing what a notify frame asks for, and knowing whether it was shown.
 * @module
 */
/** @import {NotifyFrame, Options, Self} from './types.js' */
import { message, notify, permission } from './local.js';
import { markShown, wasShown } from './storage.js';
import { drawn } from './toast.js';

const MAX_SEEN = 500;

/** @typedef {{rendered: boolean, detail?: string}} Rendered */

/** @param {string} detail @returns {Rendered} */
const not = (detail) => ({ rendered: false, detail });

/**
 * @param {object} o
 * @param {Options} o.options
 * @param {() => Promise<ServiceWorkerRegistration | null>} o.worker
 * @param {ReturnType<typeof import('./toast.js').createToasts> | null} o.toasts
 * @param {() => ReturnType<typeof import('./presence.js').watchPresence>} o.presence
 * @param {() => Self | null} o.self
 * @param {() => number} o.version of the unread shown
 */
export function createRenderer({ options, worker, toasts, presence, self, version }) {
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
    const hidden = not('the page is hidden');
    if (!visible()) return hidden;
    if (frame.reason === 'viewing_conversation') {
      const viewing = () => presence().viewing() === frame.conversation;
      if (viewing() && (await drawn()) && visible() && viewing()) return { rendered: true };
      return not('the conversation is not open');
    }
    const byHost = await (async () => options.onToast?.(frame.show, frame))().catch((e) => {
      reportError(e);
      return false;
    });
    const el = byHost === true ? null : toasts?.show(frame);
    if (!el && (byHost === false || !options.onToast)) return not('the page shows no toasts');
    if (!(await drawn()) || !visible()) return hidden;
    if (el && el.getClientRects().length === 0) return not('the toast is hidden');
    return { rendered: true };
  }

  /**
   * @param {NotifyFrame} frame
   * @returns {Promise<Rendered>}
   */
  async function raise(frame) {
    if (permission() !== 'granted') return not(`permission is ${permission()}`);
    const r = await worker();
    if (!r) return not('the page has no service worker');
    if (await wasShown(frame.id)) return { rendered: true }; // by a push that overtook a late frame
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
        rendering = (frame.channel === 'local' ? raise(frame) : toast(frame)).catch((e) => not(message(e)));
        seen.set(frame.id, rendering);
        if (seen.size > MAX_SEEN) seen.delete(/** @type {string} */ (seen.keys().next().value));
      }
      const result = await rendering;
      return result.rendered || hoped(frame) ? result : null;
    },
  };
}
