/**
 * The hub's own words in plain ones, by language: every channel, reason, end, event,
 * answer of a push service, detail and error code.
 * @module
 */

/** @typedef {Record<string, Record<string, string>>} Terms by language and name */

/** @type {Terms} */
export const CHANNELS = {
  en: { in_app: 'in the page only', local: 'notification raised by the page', push: 'push', none: 'silent' },
  'zh-TW': { in_app: '只在頁面內', local: '由頁面發出通知', push: '推播', none: '不通知' },
};

/** Reasons of decisions, ends and causes. @type {Terms} */
export const REASONS = {
  en: {
    unassigned: 'nobody is assigned', not_logged_in: 'logged in on no device', off_duty: 'off duty', agent_muted: 'the agent turned notifications off',
    viewing_conversation: 'this very conversation is open and looked at', actively_viewing: 'CAAC is being looked at', device_off: 'the device’s notification switch is off',
    permission_denied: 'the browser blocks notifications', permission_default: 'notifications were never granted on this device',
    visible_unfocused: 'the page is visible, but another window is used', no_subscription: 'the device has no push subscription',
    page_hidden: 'the page is open, but hidden', page_closed: 'no page is open', unconfirmed: 'no page confirmed that it showed it',
    lease_expired: 'the page stopped saying that it is visible', node_lost: 'the node with the page is gone',
    read_elsewhere: 'read on another device', read: 'read before it was sent', answered: 'somebody had replied', reassigned: 'somebody else is assigned now',
    logged_out: 'logged out meanwhile', subscription_gone: 'the push subscription is gone', push_rejected: 'the push service refuses it', push_expired: 'no push service took it in time',
    push_test: 'a Push test', no_receipt: 'the push service accepts pushes, but the device has not answered the last three',
  },
  'zh-TW': {
    unassigned: '沒有指派任何人', not_logged_in: '沒有在任何裝置登入', off_duty: '未值班', agent_muted: '客服人員關閉了通知',
    viewing_conversation: '正在看這個對話', actively_viewing: '正在使用 CAAC', device_off: '這個裝置的通知開關已關閉',
    permission_denied: '瀏覽器封鎖了通知', permission_default: '這個裝置從未允許通知',
    visible_unfocused: '頁面看得到，但正在使用其他視窗', no_subscription: '這個裝置沒有訂閱推播',
    page_hidden: '頁面開著，但在背景', page_closed: '沒有開啟頁面', unconfirmed: '沒有頁面確認已顯示',
    lease_expired: '頁面不再回報為可見', node_lost: '頁面所連的節點已離線',
    read_elsewhere: '已在其他裝置讀取', read: '送出前已讀取', answered: '已有人回覆', reassigned: '已改派給其他人',
    logged_out: '期間已登出', subscription_gone: '推播訂閱已失效', push_rejected: '推播服務拒絕', push_expired: '推播服務未及時接收',
    push_test: '推播測試', no_receipt: '推播服務已接收，但裝置對最近三則都沒有回應',
  },
};

/** What would help with a cause, or is to be known of how a message was told. @type {Terms} */
export const HELP = {
  en: {
    off_duty: 'Go “Online (On Duty)”: what came meanwhile is counted then, and rings no more.', agent_muted: 'Turn notifications on in My profile.',
    not_logged_in: 'Log in to CAAC on a device.', logged_out: 'Log in to CAAC there again.', device_off: 'Turn this device’s switch on in My profile.',
    permission_denied: 'Allow notifications beside the address bar, or in the system’s settings.', permission_default: 'Open CAAC and choose “Grant browser notification”.',
    no_subscription: 'Open CAAC there and grant; on an iPhone from the home screen.', subscription_gone: 'Open CAAC there once: it subscribes again.',
    push_rejected: 'Open CAAC there once: it subscribes again.', no_receipt: 'Is the device on and online? May its browser work in the background?',
    unconfirmed: 'Reload CAAC there, and grant: where no page answers, only a push can ring.', push_expired: 'There is nothing to do on the device; an operator sees in the metrics which push service did not answer.',
    displayed: 'The device got it: look at Do Not Disturb or Focus, the volume, and the system’s notification settings of the browser or app.',
    viewing_conversation: 'The conversation that is open and looked at does not ring.', actively_viewing: 'While CAAC is looked at it shows messages itself, and nothing rings.',
    read_elsewhere: 'Another page showed this conversation at that moment, and it was looked at there.', merged: 'It had rung less than 5 s before: one more ring told of all that came meanwhile.',
  },
  'zh-TW': {
    off_duty: '請切換為「上線（值班中）」：期間的訊息會計入未讀數，但不會再響。', agent_muted: '請在「個人檔案」開啟通知。',
    not_logged_in: '請在一個裝置上登入 CAAC。', logged_out: '請在該裝置重新登入 CAAC。', device_off: '請在「個人檔案」開啟這個裝置的通知。',
    permission_denied: '請在網址列旁或系統設定中允許通知。', permission_default: '請開啟 CAAC 並選擇允許瀏覽器通知。',
    no_subscription: '請在該裝置開啟 CAAC 並允許通知；iPhone 請從主畫面開啟。', subscription_gone: '請在該裝置開啟一次 CAAC，會自動重新訂閱。',
    push_rejected: '請在該裝置開啟一次 CAAC，會自動重新訂閱。', no_receipt: '裝置是否開機並連上網路？瀏覽器是否允許在背景執行？',
    unconfirmed: '請在該裝置重新載入 CAAC 並允許通知：頁面沒有回應時，只有推播能通知。', push_expired: '裝置上不需處理；管理人員可從指標查看哪個推播服務沒有回應。',
    displayed: '裝置已收到：請檢查勿擾或專注模式、音量，以及系統對瀏覽器或應用程式的通知設定。',
    viewing_conversation: '正開著並看著的對話不會響。', actively_viewing: '正在使用 CAAC 時，由頁面直接顯示訊息，不會響。',
    read_elsewhere: '當時另一個頁面正開著這個對話，已在那裡看到。', merged: '5 秒內才響過：期間的訊息會合併，只再響一次。',
  },
};

/** @type {Terms} */
export const ENDS = {
  en: { none: 'nothing was to be delivered', acknowledged: 'confirmed by the page', push_accepted: 'accepted by the push service', merged: 'told by the notification of a newer message', dropped: 'not sent', withdrawn: 'withdrawn', expired: 'expired', failed: 'failed' },
  'zh-TW': { none: '不需傳送', acknowledged: '頁面已確認', push_accepted: '推播服務已接收', merged: '併入較新訊息的通知', dropped: '未送出', withdrawn: '已撤回', expired: '已逾時', failed: '失敗' },
};

/** @type {Terms} */
export const EVENTS = {
  en: {
    acknowledged: 'A page confirmed that it showed it', redecided: 'Decided once more', push_queued: 'The push is to be sent', push_answer: 'Sent; the push service answered',
    displayed: 'Given to the system (Do Not Disturb may still hide it)', clicked: 'Clicked', dismissed: 'Dismissed by the agent, or closed by CAAC', retry: 'Tried again',
  },
  'zh-TW': {
    acknowledged: '頁面確認已顯示', redecided: '重新決定', push_queued: '推播等待送出', push_answer: '已送出，推播服務回應',
    displayed: '已交給系統（可能仍被勿擾模式隱藏）', clicked: '已點擊', dismissed: '由客服人員關閉，或由 CAAC 收回', retry: '重試',
  },
};

/** What a push service's answer means. @type {Terms} */
export const ANSWERS = {
  en: {
    accepted: 'accepted', gone: 'the subscription is gone', auth: 'it refuses the hub’s key', key_mismatch: 'the subscription was made for another key',
    too_large: 'too large; sent once more without the text', bad_request: 'it does not take such a push', throttled: 'too many pushes: later', server_error: 'the push service is in trouble',
    network: 'no answer', redirect: 'it points elsewhere, which is never followed', refused: 'not sent: the hub’s own guard refused it', breaker_open: 'not sent: this service refuses the hub’s key just now',
  },
  'zh-TW': {
    accepted: '已接收', gone: '推播訂閱已失效', auth: '拒絕系統的金鑰', key_mismatch: '訂閱使用的是另一組金鑰',
    too_large: '內容過大，將不含內文重送一次', bad_request: '不接受這則推播', throttled: '推播過多，稍後再試', server_error: '推播服務發生問題',
    network: '沒有回應', redirect: '要求轉往他處，系統不會跟隨', refused: '未送出：被系統的防護擋下', breaker_open: '未送出：此推播服務目前拒絕系統的金鑰',
  },
};

/** What else is noted of an event, as patterns; $1 is what stands there. @type {[pattern: RegExp, zh: string][]} */
export const DETAILS = [
  [/^no page confirmed it in time$/, '沒有頁面及時確認'],
  [/^the page could not show it: ?(.*)$/, '頁面無法顯示：$1'],
  [/^its page turned hidden or went away$/, '該頁面轉到背景或已關閉'],
  [/^the page turned hidden$/, '頁面轉到背景'],
  [/^the page went away$/, '頁面已關閉'],
  [/^it waited, and no page can show it now$/, '等待期間已沒有頁面可以顯示'],
  [/^the burst ended$/, '連續訊息告一段落'],
  [/^held: another page of the agent views the conversation$/, '暫緩：這位客服人員的另一個頁面正開著這個對話'],
  [/^waits ([\d.]+) s: it rang a moment ago$/, '等待 $1 秒：剛剛才響過'],
  [/^in ([\d.]+) s$/, '$1 秒後'],
  [/^asked for by the operator$/, '由管理人員要求'],
  [/^the device has no subscription any more$/, '這個裝置已沒有訂閱推播'],
  [/^not made: ?(.*)$/, '無法產生：$1'],
  [/^no answer in time$/, '未及時回應'],
  [/^given up before an answer came$/, '等到回應之前已放棄'],
  [/^the host's name leads to an address that is not public$/, '主機名稱指向非公開的位址'],
  [/^the hub no longer has the VAPID key the subscription was made for$/, '系統已沒有這個訂閱所用的 VAPID 金鑰'],
  [/^the sender is closed$/, '系統正在關閉'],
  [/^waited too long: the host is slow and all its slots are taken$/, '等候過久：推播服務緩慢，所有通道都在使用中'],
  [/^not sent: the host refuses VAPID key (.*)$/, '未送出：推播服務拒絕 VAPID 金鑰 $1'],
];

/** What an error is, by its code. Codes that are not here are told in the hub's own words. @type {Terms} */
export const PROBLEMS = {
  en: {
    bad_api_key: 'This API key is not in force here: it was mistyped, or revoked.', bad_token: 'This token is not good here: it was mistyped, or is for another hub.',
    token_expired: 'This token has expired. Get a new one.', no_api_key: 'An API key or a token is needed.', no_token: 'An API key or a token is needed.',
    not_support: 'This is an agent’s token without the role of support. Ask whoever issues tokens for the role, or an operator for an API key (caac-hub apikey create).',
    no_text: 'The messages’ text is not for this token. An API key may see it, or an operator may allow it (auth.support_text).',
    busy: 'The hub is busy with other searches. Try again in a moment.', too_many_requests: 'Too many requests from this address. Try again in a moment.',
    unknown_team: 'There is no such team.', unavailable: 'The hub’s store does not answer right now. Try again in a moment.', internal: 'Something went wrong in the hub; its log says what.',
  },
  'zh-TW': {
    bad_api_key: '這個 API 金鑰無效：可能輸入錯誤或已被撤銷。', bad_token: '這個權杖無效：可能輸入錯誤，或不屬於這個系統。',
    token_expired: '這個權杖已過期，請重新取得。', no_api_key: '需要 API 金鑰或權杖。', no_token: '需要 API 金鑰或權杖。',
    not_support: '這是沒有支援角色的客服權杖。請向核發權杖的人要求該角色，或向管理人員索取 API 金鑰（caac-hub apikey create）。',
    no_text: '這個權杖不能查看訊息內容。API 金鑰可以查看，或由管理人員開放（auth.support_text）。',
    busy: '系統正忙於其他搜尋，請稍後再試。', too_many_requests: '這個位址的要求過多，請稍後再試。',
    unknown_team: '沒有這個團隊。', unavailable: '系統的資料庫目前沒有回應，請稍後再試。', internal: '系統發生錯誤，詳情請見系統紀錄。',
  },
};

/** @type {Terms} */
export const KINDS = {
  en: { text: 'Text', image: 'Image', emoji: 'Emoji', sticker: 'Sticker', video: 'Video', file: 'File' },
  'zh-TW': { text: '文字', image: '圖片', emoji: '表情符號', sticker: '貼圖', video: '影片', file: '檔案' },
};

/** The rows of the rules: when, and what then. @type {Record<string, [when: string, then: string][]>} */
export const ROWS = {
  en: [
    ['the agent is off duty', 'silent'], ['the agent turned notifications off', 'silent'],
    ['an active page shows this very conversation', 'in the page only; counts as read'], ['a page is active: visible and focused', 'in the page only: counts and a toast'],
    ['the device’s switch is off', 'in the page if one is open, else silent'], ['notifications are not granted', 'in the page if one is open, else silent'],
    ['a page is visible, not focused', 'the page raises the notification'], ['pages are hidden, no push subscription', 'the page raises the notification'],
    ['no page open, no push subscription', 'silent'], ['pages are hidden, or none is open', 'push'],
  ],
  'zh-TW': [
    ['客服人員未值班', '不通知'], ['客服人員關閉了通知', '不通知'],
    ['使用中的頁面正開著這個對話', '只在頁面內，並視為已讀'], ['頁面使用中：看得到且正在操作', '只在頁面內：未讀數與提示'],
    ['這個裝置的開關已關閉', '有開著的頁面就只在頁面內，否則不通知'], ['未允許通知', '有開著的頁面就只在頁面內，否則不通知'],
    ['頁面看得到，但未使用', '由頁面發出通知'], ['頁面在背景，沒有訂閱推播', '由頁面發出通知'],
    ['沒有開啟頁面，沒有訂閱推播', '不通知'], ['頁面在背景，或沒有開啟頁面', '推播'],
  ],
};
