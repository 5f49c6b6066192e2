/**
 * @param {object} o
 * @param {Options} o.options
 * @param {() => Promise<ServiceWorkerRegistration | null>} o.worker
 * @param {ReturnType<typeof import('./toast.js').createToasts> | null} o.toasts
 * @param {() => ReturnType<typeof import('./presence.js').watchPresence>} o.presence
 * @param {() => Self | null} o.self
 * @param {() => number} o.version of the unread shown
 */
export function createRenderer({ options, worker, toasts, presence, self, version }: {
    options: Options;
    worker: () => Promise<ServiceWorkerRegistration | null>;
    toasts: ReturnType<typeof import("./toast.js").createToasts> | null;
    presence: () => ReturnType<typeof import("./presence.js").watchPresence>;
    self: () => Self | null;
    version: () => number;
}): {
    /**
     * Shows a delivery, once however often it comes.
     * @param {NotifyFrame} frame
     * @returns {Promise<Rendered | null>} null: nothing that this page should answer
     */
    render(frame: NotifyFrame): Promise<Rendered | null>;
};
export type Rendered = {
    rendered: boolean;
    detail?: string;
};
import type { Options } from './types.js';
import type { Self } from './types.js';
import type { NotifyFrame } from './types.js';
