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
export type StateInfo = {
    code?: number;
    reason?: string;
    retryMillis?: number;
};
/**
 * The state of the connection. `logged_out` and `refused` are final: the client
 * doesn't come back by itself.
 */
export type State = "connecting" | "online" | "waiting" | "logged_out" | "refused" | "closed";
export type Counts = {
    total: number;
    version: number;
    conversations: Change[];
};
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
 * `detail` says it in a sentence.
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
export type TestResult = {
    ok: boolean;
    detail: string;
};
export type PushTestResult = {
    accepted: boolean;
    receivedMillis: number | null;
    silenced: string[];
    detail: string;
};
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
     * URL of the worker (default: sw.js above the SDK), the
     * registration of a worker of the host's that imports sdk/sw-push.js, or false: no system notifications from here
     */
    serviceWorker?: string | false | ServiceWorkerRegistration | undefined;
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
    onDuty?: ((onDuty: boolean, mayDuty: boolean) => void) | undefined;
    /**
     * settings, permission or subscription changed
     */
    onSettings?: ((settings: Settings, self: Self) => void) | undefined;
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
