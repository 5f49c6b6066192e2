/**
 * Unread as the page shows it, and the badge as the sum over the agents of a
 * device. Pure: no page, no clock.
 * @module
 */
/** @import {Change, CountsFrame, Welcome} from './types.js' */
/**
 * What is shown. `version` is the newest applied; `whole` the newest up to which
 * nothing was missed.
 * @typedef {{version: number, whole: number, total: number, unread: Map<string, Change>}} Shown
 */
/** @returns {Shown} */
export function nothingShown(): Shown;
/**
 * Applies changes. Absolute numbers newer than those shown are always right, so
 * they are taken even where something before them was missed.
 * @param {Shown} shown
 * @param {CountsFrame} counts
 * @returns {'stale' | 'applied' | 'gap'} gap: ask for everything
 */
export function applyCounts(shown: Shown, counts: CountsFrame): "stale" | "applied" | "gap";
/**
 * Applies full state.
 * @param {Shown} shown
 * @param {Pick<Welcome, 'version' | 'total' | 'conversations' | 'same'>} welcome
 * @returns {'stale' | 'applied'}
 */
export function applyWelcome(shown: Shown, welcome: Pick<Welcome, "version" | "total" | "conversations" | "same">): "stale" | "applied";
/** @typedef {{agent: string, total: number, version: number}} Badge */
/** @typedef {Record<string, {total: number, version: number}>} Badges */
/**
 * Keeps the newest per agent.
 * @param {Badges | undefined} known
 * @param {Badge[]} news
 * @returns {Badges}
 */
export function mergeBadges(known: Badges | undefined, news: Badge[]): Badges;
/** @param {Badges | undefined} badges */
export function sumBadges(badges: Badges | undefined): number;
/**
 * What is shown. `version` is the newest applied; `whole` the newest up to which
 * nothing was missed.
 */
export type Shown = {
    version: number;
    whole: number;
    total: number;
    unread: Map<string, Change>;
};
export type Badge = {
    agent: string;
    total: number;
    version: number;
};
export type Badges = Record<string, {
    total: number;
    version: number;
}>;
import type { CountsFrame } from './types.js';
import type { Welcome } from './types.js';
import type { Change } from './types.js';
