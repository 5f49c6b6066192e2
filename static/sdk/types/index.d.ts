/** @typedef {ReturnType<typeof connect>} Client */
/**
 * Connects this page as a login of the token's agent, until close or logout.
 * @param {Options} options
 */
export function connect(options: Options): {
    /** The state of the connection. */
    readonly state: State;
    /** Who the hub says this is; null before the first welcome. */
    readonly self: Self | null;
    /**
     * The page now shows this conversation, or none.
     * @param {string | null} conversation
     */
    viewing(conversation: string | null): void;
    /**
     * The agent has read a conversation up to this message.
     * @param {string} conversation
     * @param {number} upto seq
     */
    read(conversation: string, upto: number): void;
    /**
     * Sets the agent's own duty, where the hub lets pages do so.
     * @param {boolean} on
     * @returns {boolean} false: not connected or not allowed
     */
    duty(on: boolean): boolean;
    /**
     * Asks for permission and subscribes this device. Call it inside the user's click.
     * @returns {Promise<PushResult>}
     */
    enablePush(): Promise<PushResult>;
    /** Ends push on this device; permission stays. */
    disablePush(): Promise<void>;
    /**
     * This device's status switch.
     * @param {boolean} on
     */
    deviceSwitch(on: boolean): Promise<void>;
    /**
     * The agent's preferences, on all devices. Absent members stay.
     * @param {{notifications?: boolean, preview?: 'full' | 'sender' | 'none', locale?: string}} change
     */
    preferences(change: {
        notifications?: boolean;
        preview?: "full" | "sender" | "none";
        locale?: string;
    }): Promise<void>;
    /** Whether toasts sound on this device. */
    readonly soundOn: boolean;
    /**
     * Turns the sound of toasts on or off, for this device. Call it inside the
     * user's click: it sounds once, and only then may later ones.
     * @param {boolean} on
     * @returns {Promise<boolean>} whether it was heard
     */
    sound(on: boolean): Promise<boolean>;
    /** @returns {Promise<TestResult>} */
    deviceTest(): Promise<TestResult>;
    /**
     * Waits for a subscription that is under way.
     * @returns {Promise<PushTestResult>} rejects with HubError if the hub refuses the test
     */
    pushTest(): Promise<PushTestResult>;
    /**
     * The devices the agent is logged in on.
     * @returns {Promise<Login[]>}
     */
    devices(): Promise<Login[]>;
    /**
     * Ends the agent's login on a device.
     * @param {string} id
     */
    forget(id: string): Promise<void>;
    /** Ends this login. */
    logout(): Promise<void>;
    /** Leaves; the login stays, and push reaches it. */
    close(): void;
};
export { HubError };
export type Client = ReturnType<typeof connect>;
import type { Options } from './types.js';
import type { PushResult } from './types.js';
import type { TestResult } from './types.js';
import type { PushTestResult } from './types.js';
import type { Login } from './types.js';
import type { State } from './types.js';
import type { Self } from './types.js';
import { HubError } from './api.js';
