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
export function nothingShown() {
  return { version: 0, whole: 0, total: 0, unread: new Map() };
}

/**
 * Applies changes. Absolute numbers newer than those shown are always right, so
 * they are taken even where something before them was missed.
 * @param {Shown} shown
 * @param {CountsFrame} counts
 * @returns {'stale' | 'applied' | 'gap'} gap: ask for everything
 */
export function applyCounts(shown, counts) {
  if (!(counts.version > shown.version)) return 'stale';
  const gap = shown.whole !== shown.version || counts.prev !== shown.whole;
  shown.version = counts.version;
  shown.total = counts.total;
  for (const c of counts.changed ?? []) put(shown, c);
  if (!gap) shown.whole = counts.version;
  return gap ? 'gap' : 'applied';
}

/**
 * Applies full state.
 * @param {Shown} shown
 * @param {Pick<Welcome, 'version' | 'total' | 'conversations' | 'same'>} welcome
 * @returns {'stale' | 'applied'}
 */
export function applyWelcome(shown, welcome) {
  if (welcome.version < shown.version) return 'stale';
  if (!welcome.same) {
    shown.unread.clear();
    for (const c of welcome.conversations ?? []) put(shown, c);
  }
  shown.version = shown.whole = welcome.version;
  shown.total = welcome.total;
  return 'applied';
}

/**
 * @param {Shown} shown
 * @param {Change} c
 */
function put(shown, c) {
  if (c.unread > 0) shown.unread.set(c.conversation, c);
  else shown.unread.delete(c.conversation);
}

/** @typedef {{agent: string, total: number, version: number}} Badge */
/** @typedef {Record<string, {total: number, version: number}>} Badges */

/**
 * Keeps the newest per agent.
 * @param {Badges | undefined} known
 * @param {Badge[]} news
 * @returns {Badges}
 */
export function mergeBadges(known, news) {
  /** @type {Badges} */
  const merged = { ...known };
  for (const { agent, total, version } of news) {
    if (!(merged[agent]?.version > version)) merged[agent] = { total, version };
  }
  return merged;
}

/** @param {Badges | undefined} badges */
export function sumBadges(badges) {
  return Object.values(badges ?? {}).reduce((sum, b) => sum + b.total, 0);
}
