/**
 * Draws the total over the page's icon.
 * @returns {{set(total: number): void, stop(): void}} stop restores the host's icon
 */
export function faviconCount(): {
    set(total: number): void;
    stop(): void;
};
