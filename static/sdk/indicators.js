/**
 * The unread total where it is seen from afar: tab title and app badge; favicon.js has the favicon.
 * @module
 */
import { mergeBadges, sumBadges } from './counts.js';
import { update } from './storage.js';

/**
 * The title with a count before it.
 * @param {string} title
 * @param {number} total
 */
export function titled(title, total) {
  return total > 0 ? `(${total}) ${title}`.trim() : title;
}

/**
 * Shows the total before whatever title the host sets, now or later.
 * @returns {{set(total: number): void, stop(): void}} stop restores the host's title
 */
export function titleCount() {
  let own = document.title;
  let shown = own;
  let total = 0;
  const apply = () => {
    shown = titled(own, total);
    if (document.title !== shown) document.title = shown;
  };
  const watch = new MutationObserver(() => {
    if (document.title === shown) return;
    own = document.title;
    apply();
  });
  watch.observe(document.head, { subtree: true, childList: true, characterData: true });
  return {
    set(n) {
      total = n;
      apply();
    },
    stop() {
      watch.disconnect();
      total = 0;
      apply();
    },
  };
}

/**
 * Sets the app's badge to the sum over the agents logged in on this device.
 * @param {string} agent
 * @param {{total: number, version: number} | null} count null: the agent is logged in no more
 */
export async function badgeCount(agent, count) {
  if (!('setAppBadge' in navigator)) return;
  const badges = await update('badges', (known) => {
    if (count) return mergeBadges(known, [{ agent, ...count }]);
    const { [agent]: _, ...others } = known ?? {};
    return others;
  });
  const sum = sumBadges(badges);
  try {
    await (sum > 0 ? navigator.setAppBadge(sum) : navigator.clearAppBadge());
  } catch {
    // Not an installed app, or not allowed to.
  }
}
