/** @typedef {ReturnType<typeof connect>} Client */
/** @typedef {import('./types.js').Options} Options */
/** @typedef {import('./types.js').Counts} Counts */
/** @typedef {import('./types.js').Change} Change */
/** @typedef {import('./types.js').Show} Show */
/** @typedef {import('./types.js').NotifyFrame} NotifyFrame */
/** @typedef {import('./types.js').Settings} Settings */
/** @typedef {import('./types.js').Self} Self */
/** @typedef {import('./types.js').State} State */
/** @typedef {import('./types.js').StateInfo} StateInfo */
/** @typedef {import('./types.js').PushResult} PushResult */
/** @typedef {import('./types.js').TestResult} TestResult */
/** @typedef {import('./types.js').PushTestResult} PushTestResult */
/** @typedef {import('./types.js').Login} Login */
/**
 * Connects this page as a login of the token's agent, until close or logout. A
 * page has one client: the one before is closed. For browsers alone; on a
 * server the module may be imported, and this not be called.
 * @param {Options} options
 * @throws {TypeError} says which option is wrong, and what is allowed
 */
export function connect(options: Options): {
    /** The state of the connection. */
    readonly state: import("./types.js").State;
    /** Who the hub says this is; null before the first welcome. */
    readonly self: import("./types.js").Self | null;
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
     * Waits for a subscription that is under way, 10 s at most.
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
export type Options = import("./types.js").Options;
export type Counts = import("./types.js").Counts;
export type Change = import("./types.js").Change;
export type Show = import("./types.js").Show;
export type NotifyFrame = import("./types.js").NotifyFrame;
export type Settings = import("./types.js").Settings;
export type Self = import("./types.js").Self;
export type State = import("./types.js").State;
export type StateInfo = import("./types.js").StateInfo;
export type PushResult = import("./types.js").PushResult;
export type TestResult = import("./types.js").TestResult;
export type PushTestResult = import("./types.js").PushTestResult;
export type Login = import("./types.js").Login;
import { HubError } from './api.js';
