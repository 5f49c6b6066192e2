export function createSound(): {
    /**
     * Sounds in one of the device's tabs.
     * @returns {Promise<boolean>} false: the browser doesn't let this one
     */
    play(): Promise<boolean>;
    stop(): void;
};
