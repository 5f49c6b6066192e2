export type PageState = {
    visibility: string;
    focus: boolean;
    viewing?: string;
};
export type DeviceAuth = {
    id: string;
    key: string;
};
export type VapidKey = {
    id: string;
    public: string;
};
export type Change = {
    conversation: string;
    unread: number;
    seq?: number;
};
export type CountsFrame = {
    version: number;
    prev: number;
    total: number;
    changed?: Change[] | null;
};
export type Show = {
    title: string;
    body?: string;
    image?: string;
    tag: string;
    lang?: string;
    navigate?: string;
    waiting?: number;
};
export type NotifyFrame = {
    /**
     * of the delivery
     */
    id: string;
    channel: "in_app" | "local";
    reason: string;
    conversation: string;
    message: string;
    seq: number;
    /**
     * Unix ms
     */
    at: number;
    show: Show;
    counts?: CountsFrame | undefined;
    /**
     * no ring: a summary will tell
     */
    silent?: boolean | undefined;
};
export type DeviceSettings = {
    /**
     * the device's status switch
     */
    on: boolean;
    permission: string;
    subscribed: boolean;
    /**
     * SHA-256 of the endpoint, hex
     */
    endpoint?: string | undefined;
    /**
     * the VAPID key it was made for
     */
    key_id?: string | undefined;
    /**
     * it is to be made anew. Where this stays so, the browser asks for a tap: enablePush, inside the click of a button
     */
    resubscribe?: boolean | undefined;
};
export type Settings = {
    notifications: boolean;
    preview: string;
    locale: string;
    device: DeviceSettings;
};
export type Welcome = {
    socket: string;
    agent: string;
    name: string;
    /**
     * key only where the hub minted it now
     */
    device: DeviceAuth;
    /**
     * the device's short code, to tell support
     */
    code: string;
    on_duty: boolean;
    /**
     * the page may set it
     */
    duty: boolean;
    settings: Settings;
    version: number;
    total: number;
    conversations: Change[] | null;
    /**
     * the page already shows this version
     */
    same?: boolean | undefined;
    vapid: VapidKey;
    renew_seconds: number;
    /**
     * Unix seconds; 0 never
     */
    expires?: number | undefined;
};
export type TestFrame = {
    id: string;
    stage: "accepted" | "received" | "failed" | string;
    /**
     * since the test was asked for
     */
    millis: number;
    detail?: string | undefined;
    silenced?: string[] | null | undefined;
};
/**
 * Why: the close code (docs/protocol.md) and reason of the socket that ended, and
 * when the next is tried.
 */
export type StateInfo = {
    code?: number;
    reason?: string;
    retryMillis?: number;
};
/**
 * The state of the connection. `waiting`: it broke, and is tried again.
 * `logged_out`, `refused` (by the hub, for good: a close code above 4500) and
 * `closed` are final: the client doesn't come back by itself, connect makes a
 * new one.
 */
export type State = "connecting" | "online" | "waiting" | "logged_out" | "refused" | "closed";
/**
 * What is unread. Of more than 200 conversations, the newest; the total counts all.
 */
export type Counts = {
    total: number;
    version: number;
    conversations: Change[];
};
/**
 * Who the hub says this is. `code` is the device's short code, to tell support;
 * `mayDuty`: the page may set the agent's duty.
 */
export type Self = {
    agent: string;
    name: string;
    device: string;
    code: string;
    onDuty: boolean;
    mayDuty: boolean;
};
/**
 * What came of an attempt to get push. `side` names who did not do their part;
 * `reason` is `denied` or `dismissed`, `unsupported` or `no_worker`,
 * `unreachable` or `refused`, `no_key` or the code of the hub's error;
 * `detail` says it in an English sentence.
 */
export type PushResult = {
    ok: boolean;
    side?: "permission" | "browser" | "push_service" | "hub";
    reason?: string;
    detail: string;
};
/**
 * One login of the agent.
 */
export type Login = {
    device: string;
    code: string;
    label: string;
    platform?: string;
    place?: string;
    since: string;
    seen: string;
    presence: string;
    viewing?: string;
    sockets: number;
    settings: DeviceSettings;
    current?: boolean;
};
/**
 * reason: why not; detail: in English
 */
export type TestResult = {
    ok: boolean;
    reason?: "not_granted" | "no_worker" | "not_shown";
    detail: string;
};
/**
 * What became of a Push test. `silenced` are the reasons for which a real message
 * would not ring here now.
 */
export type PushTestResult = {
    accepted: boolean;
    receivedMillis: number | null;
    silenced: string[];
    detail: string;
};
/**
 * What a host says to connect. What a callback throws is reported as the page's
 * own error and changes nothing else; of onToast: the toast was not drawn.
 */
export type Options = {
    /**
     * base URL of the hub; default: the page's origin
     */
    url?: string | undefined;
    /**
     * gives a good agent token. Asked for every connection, renewal and request.
     */
    token: () => Promise<string>;
    /**
     * where on the device this page stands: one agent at a time per place
     */
    place?: string | undefined;
    /**
     * URL of the worker (default: `/sw.js` of the page's
     * origin), the registration of a worker that imports the SDK's or a promise of it, or false: no system notifications from here
     */
    serviceWorker?: string | false | ServiceWorkerRegistration | Promise<ServiceWorkerRegistration> | undefined;
    /**
     * what is unread has changed, or is known for the first time
     */
    onCounts?: ((counts: Counts) => void) | undefined;
    /**
     * draws a toast in the host's own way. True (or a promise
     * of it) means drawn; otherwise the SDK draws one, unless `toast` is false: then only false means not drawn.
     */
    onToast?: ((show: Show, frame: NotifyFrame) => unknown) | undefined;
    /**
     * a notification or toast was clicked: show this conversation
     */
    onOpen?: ((conversation: string) => void) | undefined;
    /**
     * the agent's duty, and whether the page may set it
     */
    onDuty?: ((onDuty: boolean, mayDuty: boolean) => void) | undefined;
    /**
     * settings, permission or subscription changed
     */
    onSettings?: ((settings: Settings, self: Self) => void) | undefined;
    /**
     * of the connection; the first comes before connect returns
     */
    onState?: ((state: State, info: StateInfo) => void) | undefined;
    /**
     * no longer waiting for this agent
     */
    onWithdraw?: ((conversations: string[], reason: string) => void) | undefined;
    /**
     * where toasts stand; default: a corner of the page
     */
    toast?: false | HTMLElement | undefined;
    /**
     * show the count in the title; default true
     */
    title?: boolean | undefined;
    /**
     * show the count in the favicon; default true
     */
    favicon?: boolean | undefined;
    /**
     * show the count as the app's badge; default true
     */
    badge?: boolean | undefined;
    /**
     * what a click opens where no page is left and the hub
     * named none; `{conversation}` stands for the id
     */
    conversationUrl?: string | ((conversation: string) => string) | undefined;
};
