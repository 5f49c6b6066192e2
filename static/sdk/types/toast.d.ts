/**
 * Waits for the next frame the browser draws; false if it draws none within two
 * seconds, before the hub stops waiting for an answer.
 * @returns {Promise<boolean>}
 */
export function drawn(): Promise<boolean>;
/**
 * @param {HTMLElement | undefined} parent where toasts stand; else a corner of the page
 * @param {(conversation: string) => void} open
 */
export function createToasts(parent: HTMLElement | undefined, open: (conversation: string) => void): {
    /**
     * Draws a toast, in place of an older one with its tag.
     * @param {NotifyFrame} frame
     * @returns {HTMLElement}
     */
    show({ show, conversation }: NotifyFrame): HTMLElement;
    /** @param {string} conversation */
    close(conversation: string): void;
    stop(): void;
};
import type { NotifyFrame } from './types.js';
