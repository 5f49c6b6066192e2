/**
 * The title with a count before it.
 * @param {string} title
 * @param {number} total
 */
export function titled(title: string, total: number): string;
/**
 * Shows the total before whatever title the host sets, now or later.
 * @returns {{set(total: number): void, stop(): void}} stop restores the host's title
 */
export function titleCount(): {
    set(total: number): void;
    stop(): void;
};
/**
 * Sets the app's badge to the sum over the agents logged in on this device.
 * @param {string} agent
 * @param {{total: number, version: number} | null} count null: the agent is logged in no more
 */
export function badgeCount(agent: string, count: {
    total: number;
    version: number;
} | null): Promise<void>;
