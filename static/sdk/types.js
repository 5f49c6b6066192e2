/**
 * Shapes that cross the wire (hub/wire) and the SDK's own.
 * @module
 */

/** @typedef {{visibility: string, focus: boolean, viewing?: string}} PageState */
/** @typedef {{id: string, key: string}} DeviceAuth */
/** @typedef {{id: string, public: string}} VapidKey */
/** @typedef {{conversation: string, unread: number, seq?: number}} Change */
/** @typedef {{version: number, prev: number, total: number, changed?: Change[] | null}} CountsFrame */
/** @typedef {{title: string, body?: string, image?: string, tag: string, lang?: string, navigate?: string, waiting?: number}} Show */
/**
 * @typedef {object} NotifyFrame
 * @property {string} id of the delivery
 * @property {'in_app' | 'local'} channel
 * @property {string} reason
 * @property {string} conversation
 * @property {string} message
 * @property {number} seq
 * @property {number} at Unix ms
 * @property {Show} show
 * @property {CountsFrame} [counts]
 * @property {boolean} [silent] no ring: a summary will tell
 */
/**
 * @typedef {object} DeviceSettings
 * @property {boolean} on the device's status switch
 * @property {string} permission
 * @property {boolean} subscribed
 * @property {string} [endpoint] SHA-256 of the endpoint, hex
 * @property {string} [key_id] the VAPID key it was made for
 * @property {boolean} [resubscribe] it is to be made anew. Where this stays so, the browser asks for a tap: enablePush, inside the click of a button
 */
/** @typedef {{notifications: boolean, preview: string, locale: string, device: DeviceSettings}} Settings */
/**
 * @typedef {object} Welcome
 * @property {string} socket
 * @property {string} agent
 * @property {string} name
 * @property {DeviceAuth} device key only where the hub minted it now
 * @property {string} code the device's short code, to tell support
 * @property {boolean} on_duty
 * @property {boolean} duty the page may set it
 * @property {Settings} settings
 * @property {number} version
 * @property {number} total
 * @property {Change[] | null} conversations
 * @property {boolean} [same] the page already shows this version
 * @property {VapidKey} vapid
 * @property {number} renew_seconds
 * @property {number} [expires] Unix seconds; 0 never
 */
/**
 * @typedef {object} TestFrame
 * @property {string} id
 * @property {'accepted' | 'received' | 'failed' | string} stage
 * @property {number} millis since the test was asked for
 * @property {string} [detail]
 * @property {string[] | null} [silenced]
 */
/**
 * Why: the close code (docs/protocol.md) and reason of the socket that ended, and
 * when the next is tried.
 * @typedef {{code?: number, reason?: string, retryMillis?: number}} StateInfo
 */
/**
 * The state of the connection. `waiting`: it broke, and is tried again.
 * `logged_out`, `refused` (by the hub, for good: a close code above 4500) and
 * `closed` are final: the client doesn't come back by itself, connect makes a
 * new one.
 * @typedef {'connecting' | 'online' | 'waiting' | 'logged_out' | 'refused' | 'closed'} State
 */
/**
 * What is unread. Of more than 200 conversations, the newest; the total counts all.
 * @typedef {{total: number, version: number, conversations: Change[]}} Counts
 */
/**
 * Who the hub says this is. `code` is the device's short code, to tell support;
 * `mayDuty`: the page may set the agent's duty.
 * @typedef {{agent: string, name: string, device: string, code: string, onDuty: boolean, mayDuty: boolean}} Self
 */
/**
 * What came of an attempt to get push. `side` names who did not do their part;
 * `reason` is `denied` or `dismissed`, `unsupported` or `no_worker`,
 * `unreachable` or `refused`, `no_key` or the code of the hub's error;
 * `detail` says it in an English sentence.
 * @typedef {{ok: boolean, side?: 'permission' | 'browser' | 'push_service' | 'hub', reason?: string, detail: string}} PushResult
 */
/**
 * One login of the agent.
 * @typedef {{device: string, code: string, label: string, platform?: string, place?: string, since: string, seen: string,
 *   presence: string, viewing?: string, sockets: number, settings: DeviceSettings, current?: boolean}} Login
 */
/** @typedef {{ok: boolean, reason?: 'not_granted' | 'no_worker' | 'not_shown', detail: string}} TestResult reason: why not; detail: in English */
/**
 * What became of a Push test. `silenced` are the reasons for which a real message
 * would not ring here now.
 * @typedef {{accepted: boolean, receivedMillis: number | null, silenced: string[], detail: string}} PushTestResult
 */

/**
 * What a host says to connect. What a callback throws is reported as the page's
 * own error and changes nothing else; of onToast: the toast was not drawn.
 * @typedef {object} Options
 * @property {string} [url] base URL of the hub; default: the page's origin
 * @property {() => Promise<string>} token gives a good agent token. Asked for every connection, renewal and request.
 * @property {string} [place] where on the device this page stands: one agent at a time per place
 * @property {string | ServiceWorkerRegistration | Promise<ServiceWorkerRegistration> | false} [serviceWorker] URL of the worker (default: `/sw.js` of the page's
 *   origin), the registration of a worker that imports the SDK's or a promise of it, or false: no system notifications from here
 * @property {(counts: Counts) => void} [onCounts] what is unread has changed, or is known for the first time
 * @property {(show: Show, frame: NotifyFrame) => unknown} [onToast] draws a toast in the host's own way. True (or a promise
 *   of it) means drawn; otherwise the SDK draws one, unless `toast` is false: then only false means not drawn.
 * @property {(conversation: string) => void} [onOpen] a notification or toast was clicked: show this conversation
 * @property {(onDuty: boolean, mayDuty: boolean) => void} [onDuty] the agent's duty, and whether the page may set it
 * @property {(settings: Settings, self: Self) => void} [onSettings] settings, permission or subscription changed
 * @property {(state: State, info: StateInfo) => void} [onState] of the connection; the first comes before connect returns
 * @property {(conversations: string[], reason: string) => void} [onWithdraw] no longer waiting for this agent
 * @property {HTMLElement | false} [toast] where toasts stand; default: a corner of the page
 * @property {boolean} [title] show the count in the title; default true
 * @property {boolean} [favicon] show the count in the favicon; default true
 * @property {boolean} [badge] show the count as the app's badge; default true
 * @property {string | ((conversation: string) => string)} [conversationUrl] what a click opens where no page is left and the hub
 *   named none; `{conversation}` stands for the id
 */

export {};
