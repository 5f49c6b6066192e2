/**
 * Everything the page says, in the languages of support.
 * @module
 */

const LANGUAGE = 'caac-support-language';

/** @type {Record<string, Record<string, string>>} */
const TEXTS = {
  en: {
    title: 'CAAC support', language: 'Language', leave: 'Forget the key', live: 'live', notLive: 'not live',
    enterTitle: 'Who asks?', enterLabel: 'API key, or an agent token with the role of support', enter: 'Open',
    enterNote: 'It is kept in this tab until you close it, and sent to this hub only.',
    tabWhy: 'Why did it ring?', tabReach: 'Who can be reached now', tabRules: 'Try the rules',
    searchBy: 'Search by', message: 'Message', conversation: 'Conversation', agent: 'Agent', device: 'Device code', searchFor: 'Search for', anything: 'nothing: the newest',
    reason: 'Reason', anyReason: 'any', team: 'Team', anyTeam: 'any', onlyNobody: 'Only what reached nobody', withText: 'Show text, where it is kept', search: 'Search',
    looked: '{n} messages looked at', lookFurther: 'Look at older ones', noneFound: 'Nothing found.', pick: 'Choose a message to see what happened to it.',
    somethingNew: 'Something happened since: search again',
    reachedNobody: 'Reached nobody', reached: 'Reached', onItsWay: 'On its way', quiet: 'No longer needed',
    verdictNobody: 'This message reached nobody: {causes}.', verdictReached: 'It reached an agent.', verdictPending: 'It is on its way: not every login has come to its end.',
    verdictQuiet: 'Nobody had to be told any more: it was read, answered or reassigned before.',
    assignedTo: 'Assigned to', nobody: 'nobody', accepted: 'Accepted', sent: 'Written', kind: 'Kind', text: 'Text', erased: 'not shown, or erased',
    tAccepted: 'Accepted by the hub', tDecided: 'Decided: {channel} – {reason}', tAtFirst: 'Decided at first: {channel} – {reason}', tRedecided: 'Decided once more: {channel} – {reason}', tEnd: 'End: {end}',
    tWaiting: 'Still under way…', moreLogins: 'And {n} more logins: search by agent or device code to see them.',
    deviceLeft: 'a device that has left',
    onDuty: '{n} on duty', unreachable: '{n} cannot be reached', allReachable: 'Everybody on duty can be reached.', nobodyOnDuty: 'Nobody is on duty.', notAll: 'There are more agents than were looked at.',
    onlyUnreachable: 'Only who cannot be reached', isReachable: 'Can be reached', isUnreachable: 'On duty, but unreachable', noLogin: 'Logged in on no device.',
    lastSeen: 'last seen {t}', wouldBe: 'A message now: {channel} – {reason}', messages: 'Messages', more: 'Show more', asOf: 'as of {t}',
    rulesNote: 'Make people up and see what a message would do. These are the very rules the hub decides by; nothing that is there is looked at or changed.',
    rulesTo: 'The message is assigned to', toTeam: 'a team of all of them', name: 'Name', dutyOn: 'on duty', mutedOn: 'turned notifications off', addDevice: 'Add a device', addAgent: 'Add an agent', remove: 'Remove',
    page: 'CAAC’s page there', closed: 'closed', hidden: 'hidden', visible: 'visible, not focused', active: 'looked at', viewing: 'looked at, this very chat',
    permission: 'Permission', granted: 'granted', denied: 'blocked', default: 'not asked', switchOn: 'switch on', hasPush: 'push subscription', deviceName: 'Device {n}',
    ifUnconfirmed: 'If no page confirms it within 3 s: {channel} – {reason}', unreachableHub: 'The hub does not answer. Is it running?', refused: 'This key or token is not good here any more.',
    busy: 'Looking…',
  },
  'zh-TW': {
    title: 'CAAC 客服支援', language: '語言', leave: '移除金鑰', live: '即時', notLive: '未連線',
    enterTitle: '請先確認身分', enterLabel: 'API 金鑰，或具有支援角色的客服權杖', enter: '開啟',
    enterNote: '只保留在這個分頁，關閉後即清除，而且只會傳送到這個伺服器。',
    tabWhy: '為什麼有（沒有）響？', tabReach: '現在聯絡得到誰', tabRules: '試算規則',
    searchBy: '搜尋方式', message: '訊息', conversation: '對話', agent: '客服人員', device: '裝置代碼', searchFor: '搜尋內容', anything: '留空：最新的訊息',
    reason: '原因', anyReason: '不限', team: '團隊', anyTeam: '不限', onlyNobody: '只看沒有通知到任何人的', withText: '顯示內容（仍保留時）', search: '搜尋',
    looked: '已查看 {n} 則訊息', lookFurther: '繼續查看更早的', noneFound: '沒有找到。', pick: '選擇一則訊息，查看它的經過。',
    somethingNew: '之後有新的變化：重新搜尋',
    reachedNobody: '沒有通知到任何人', reached: '已通知', onItsWay: '處理中', quiet: '已不需要',
    verdictNobody: '這則訊息沒有通知到任何人：{causes}。', verdictReached: '已通知到客服人員。', verdictPending: '處理中：還有登入尚未得到結果。',
    verdictQuiet: '已不需要通知：之前已讀取、已回覆或已改派。',
    assignedTo: '指派給', nobody: '無人', accepted: '接收時間', sent: '送出時間', kind: '類型', text: '內容', erased: '未顯示或已清除',
    tAccepted: '系統已接收', tDecided: '決定：{channel}（{reason}）', tAtFirst: '最初的決定：{channel}（{reason}）', tRedecided: '重新決定：{channel}（{reason}）', tEnd: '結果：{end}',
    tWaiting: '處理中…', moreLogins: '另有 {n} 個登入：請以客服人員或裝置代碼搜尋。',
    deviceLeft: '已移除的裝置',
    onDuty: '{n} 人值班中', unreachable: '{n} 人聯絡不到', allReachable: '值班中的人都聯絡得到。', nobodyOnDuty: '目前無人值班。', notAll: '客服人員太多，只查看了一部分。',
    onlyUnreachable: '只看聯絡不到的人', isReachable: '聯絡得到', isUnreachable: '值班中，但聯絡不到', noLogin: '沒有在任何裝置登入。',
    lastSeen: '最後出現 {t}', wouldBe: '現在若有訊息：{channel}（{reason}）', messages: '訊息', more: '顯示更多', asOf: '{t} 的狀態',
    rulesNote: '自行設定人員狀態，查看訊息會怎麼通知。使用的就是系統本身的規則，不會讀取或更動任何真實資料。',
    rulesTo: '訊息指派給', toTeam: '全員所屬的團隊', name: '名稱', dutyOn: '值班中', mutedOn: '已關閉通知', addDevice: '新增裝置', addAgent: '新增人員', remove: '移除',
    page: '該裝置上的 CAAC 頁面', closed: '未開啟', hidden: '在背景', visible: '看得到，但未使用', active: '使用中', viewing: '使用中，並開著這個對話',
    permission: '通知權限', granted: '已允許', denied: '已封鎖', default: '未詢問', switchOn: '開關開啟', hasPush: '已訂閱推播', deviceName: '裝置 {n}',
    ifUnconfirmed: '若 3 秒內沒有頁面確認：{channel}（{reason}）', unreachableHub: '伺服器沒有回應，是否正在執行？', refused: '這個金鑰或權杖已失效。',
    busy: '查詢中…',
  },
};

/** @type {Record<string, Record<string, string>>} */
const CHANNELS = {
  en: { in_app: 'in the page only', local: 'notification raised by the page', push: 'push', none: 'silent' },
  'zh-TW': { in_app: '只在頁面內', local: '由頁面發出通知', push: '推播', none: '不通知' },
};

/** Reasons of decisions, ends and causes. @type {Record<string, Record<string, string>>} */
const REASONS = {
  en: {
    unassigned: 'nobody is assigned', not_logged_in: 'logged in on no device', off_duty: 'off duty', agent_muted: 'the agent turned notifications off',
    viewing_conversation: 'this very chat is open and looked at', actively_viewing: 'CAAC is being looked at', device_off: 'the device’s notification switch is off',
    permission_denied: 'the browser blocks notifications', permission_default: 'notifications were never granted on this device',
    visible_unfocused: 'the page is visible, but another window is used', no_subscription: 'the device has no push subscription',
    page_hidden: 'the page is open, but hidden', page_closed: 'no page is open', unconfirmed: 'no page confirmed that it showed it',
    lease_expired: 'the page stopped saying that it is visible', node_lost: 'the node with the page is gone',
    read_elsewhere: 'read on another device', read: 'read before it was sent', answered: 'somebody had replied', reassigned: 'somebody else is assigned now',
    logged_out: 'logged out meanwhile', subscription_gone: 'the push subscription is gone', push_rejected: 'the push service refuses it', push_expired: 'no push service took it in time',
    no_receipt: 'the push service accepts pushes, but the device has not answered the last three',
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
    no_receipt: '推播服務已接收，但裝置對最近三則都沒有回應',
  },
};

/** What would help with a cause. @type {Record<string, Record<string, string>>} */
const HELP = {
  en: {
    not_logged_in: 'Log in to CAAC on a device.', agent_muted: 'Turn notifications on in My profile.', device_off: 'Turn this device’s switch on in My profile.',
    permission_denied: 'Allow notifications beside the address bar, or in the system’s settings.', permission_default: 'Open CAAC and choose “Grant browser notification”.',
    no_subscription: 'Open CAAC there and grant; on an iPhone from the home screen.', subscription_gone: 'Open CAAC there once: it subscribes again.',
    push_rejected: 'Open CAAC there once: it subscribes again.', no_receipt: 'Is the device on and online? May its browser work in the background?',
  },
  'zh-TW': {
    not_logged_in: '請在一個裝置上登入 CAAC。', agent_muted: '請在「個人檔案」開啟通知。', device_off: '請在「個人檔案」開啟這個裝置的通知。',
    permission_denied: '請在網址列旁或系統設定中允許通知。', permission_default: '請開啟 CAAC 並選擇允許瀏覽器通知。',
    no_subscription: '請在該裝置開啟 CAAC 並允許通知；iPhone 請從主畫面開啟。', subscription_gone: '請在該裝置開啟一次 CAAC，會自動重新訂閱。',
    push_rejected: '請在該裝置開啟一次 CAAC，會自動重新訂閱。', no_receipt: '裝置是否開機並連上網路？瀏覽器是否允許在背景執行？',
  },
};

/** @type {Record<string, Record<string, string>>} */
const ENDS = {
  en: { none: 'nothing was to be delivered', acknowledged: 'confirmed by the page', push_accepted: 'accepted by the push service', merged: 'told by the notification of a newer message', dropped: 'not sent', withdrawn: 'withdrawn', expired: 'expired', failed: 'failed' },
  'zh-TW': { none: '不需傳送', acknowledged: '頁面已確認', push_accepted: '推播服務已接收', merged: '併入較新訊息的通知', dropped: '未送出', withdrawn: '已撤回', expired: '已逾時', failed: '失敗' },
};

/** @type {Record<string, Record<string, string>>} */
const EVENTS = {
  en: {
    acknowledged: 'A page confirmed that it showed it', redecided: 'Decided once more', push_queued: 'The push waits', push_answer: 'Sent; the push service answered',
    displayed: 'Given to the system (Do Not Disturb may still hide it)', clicked: 'Clicked', dismissed: 'Dismissed', retry: 'Tried again',
  },
  'zh-TW': {
    acknowledged: '頁面確認已顯示', redecided: '重新決定', push_queued: '推播等待中', push_answer: '已送出，推播服務回應',
    displayed: '已交給系統（可能仍被勿擾模式隱藏）', clicked: '已點擊', dismissed: '已關閉', retry: '重試',
  },
};

/** @type {Record<string, Record<string, string>>} */
const KINDS = {
  en: { text: 'Text', image: 'Image', emoji: 'Emoji', sticker: 'Sticker', video: 'Video', file: 'File' },
  'zh-TW': { text: '文字', image: '圖片', emoji: '表情符號', sticker: '貼圖', video: '影片', file: '檔案' },
};

let language = localStorage.getItem(LANGUAGE) ?? (navigator.languages.find((l) => /^(en|zh)/i.test(l)) ?? 'en');
language = /^zh/i.test(language) ? 'zh-TW' : 'en';
document.documentElement.lang = language;

export const locale = () => language;

/** @param {string} to */
export function speak(to) {
  localStorage.setItem(LANGUAGE, to);
  location.reload();
}

/**
 * @param {string} name @param {Record<string, string | number>} [values] for {name}
 */
export function t(name, values = {}) {
  const text = TEXTS[language][name] ?? TEXTS.en[name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, v) => String(values[v] ?? ''));
}

/** @param {string} name */
const plain = (name) => name.replaceAll('_', ' ');

/** @param {string} c */
export const channel = (c) => CHANNELS[language][c] ?? plain(c);

/** @param {string} r */
export const reason = (r) => REASONS[language][r] ?? plain(r);

/** @param {string} cause */
export const help = (cause) => HELP[language][cause] ?? '';

/** @param {string} e */
export const end = (e) => ENDS[language][e] ?? plain(e);

/** @param {string} kind */
export const happening = (kind) => EVENTS[language][kind] ?? plain(kind);

/** @param {string} kind */
export const kindWords = (kind) => KINDS[language][kind] ?? KINDS[language].file;

/** The reasons that can be searched for, with their words. */
export const reasons = () => REASONS[language];

/**
 * A decision in plain words.
 * @param {import('./hub.js').Decision} d
 * @returns {{channel: string, reason: string}}
 */
export function decided(d) {
  const why = [reason(d.reason)];
  if (d.detail) why.push(reason(d.detail));
  return { channel: channel(d.channel), reason: why.join(language === 'en' ? '; ' : '；') };
}
