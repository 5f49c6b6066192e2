/**
 * Calls tell whenever the state changes, and while the page is visible again
 * every so often: visibility is a claim that lapses.
 * @param {{signal: AbortSignal, tell: (state: PageState) => void, wake: (slept: boolean) => void, tick: () => void}} on
 *   wake: the page may have slept through something; tick: it is still visible
 */
export function watchPresence({ signal, tell, wake, tick: awake }: {
    signal: AbortSignal;
    tell: (state: PageState) => void;
    wake: (slept: boolean) => void;
    tick: () => void;
}): {
    state: () => PageState;
    /** The state goes out by other means (hello). */
    toldNow(): PageState;
    /** @param {string | null} conversation */
    view(conversation: string | null): void;
    viewing: () => string;
    /** @param {number} seconds */
    renewEvery(seconds: number): void;
    /**
     * Whether a state the hub may still go by fits.
     * @param {(s: PageState) => boolean} fits
     */
    claimed(fits: (s: PageState) => boolean): boolean;
    stop(): void;
};
import type { PageState } from './types.js';
