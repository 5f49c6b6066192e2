/**
 * Everything the page says, in the languages of support.
 * @module
 */
import { ANSWERS, CHANNELS, DETAILS, ENDS, EVENTS, HELP, KINDS, PROBLEMS, REASONS, ROWS } from './terms.js';

const LANGUAGE = 'caac-support-language';

/** @type {Record<string, Record<string, string>>} */
export const TEXTS = {
  en: {
    title: 'CAAC support', language: 'Language', leave: 'Forget the key', live: 'live', notLive: 'not live', connecting: 'connecting…',
    away: 'The hub does not answer. What you see is as it was; this page tries again every few seconds.', streamBusy: 'As many pages follow the hub as it lets. This one shows what is new when you search again.', back: 'The hub answers again.',
    enterTitle: 'Who asks?', enterLabel: 'API key, or an agent token with the role of support', enter: 'Open',
    enterNote: 'It is kept in this tab until you close it, and sent to this hub only.',
    tabWhy: 'Why did it (not) ring?', tabReach: 'Who can be reached now', tabRules: 'Try the rules', parts: 'Parts of this page',
    searchBy: 'Search by', message: 'Message', conversation: 'Conversation', agent: 'Agent', device: 'Device code', searchFor: 'Search for',
    forMessage: 'a message’s id; nothing: the newest', forConversation: 'a conversation’s id; nothing: the newest', forAgent: 'an agent’s id or name; nothing: all', forDevice: 'ABCD-EFGH, from My profile; nothing: all',
    reason: 'Reason', anyReason: 'any', team: 'Team', anyTeam: 'any', until: 'Not after', onlyNobody: 'Only what reached nobody', withText: 'Show text, where it is kept', search: 'Search', reset: 'Clear',
    looked: 'Messages looked at: {n}.', lookedBack: 'Messages looked at: {n}, back to {t}.', lookFurther: 'Look at older ones', stop: 'Stop looking', pick: 'Choose a message to see what happened to it.', goneMessage: 'This message is not kept any more, or never was here.',
    noneFound: 'Nothing found for {what}.', noneAtAll: 'There are no messages here yet.', everything: 'all messages', isAgent: 'agent “{v}”', isDevice: 'device “{v}”', isMessage: 'message “{v}”', isConversation: 'conversation “{v}”',
    isReason: 'reason “{v}”', isTeam: 'team “{v}”', isNobody: 'reached nobody', isUntil: 'not after {v}', and: ', ',
    tipAgent: 'Allowed are an agent’s id and any part of a name; “Who can be reached now” lists both.', tipDevice: 'A code has eight letters and digits, as ABCD-EFGH; there is no 0, 1, I or O. The agent reads it from My profile.',
    tipMessage: 'It must be the whole id, as the backend gave it. Messages are kept for some days only.', tipConversation: 'It must be the whole id, as the backend gave it. Messages are kept for some days only.', tipTeam: 'A team is searched for by its whole id.',
    somethingNew: 'Something happened since: search again', results: 'Messages found', history: 'What happened',
    reachedNobody: 'Reached nobody', reached: 'Reached', onItsWay: 'On its way', quiet: 'No longer needed', doubt: 'Not known to be shown', merged: 'Told with a newer one', notSent: 'Not sent', forAgentNow: 'For the agent:', shownThere: 'given to the system',
    verdictNobody: 'This message reached nobody: {causes}.', verdictReached: 'It reached an agent.', verdictPending: 'It is on its way: not every login has come to its end.',
    verdictDoubt: 'A push service took it, and no device has said that it showed it: is the device on and online, does it save power?', verdictQuiet: 'Nobody had to be told any more: it was read, answered or reassigned before.',
    verdictMerged: 'It was told by the notification of a newer message, whose own history says whether that was shown.', verdictNotSent: 'It was to ring, and was not sent: {causes}.', verdictMoved: 'It was assigned to somebody else before it was sent, and nobody else was told: {causes}.',
    assignedTo: 'Assigned to', nobody: 'nobody', accepted: 'Accepted', sent: 'Written', kind: 'Kind', text: 'Text', erased: 'not shown, or erased', zone: 'Times', zoneIs: '{zone}; point at one to see it in UTC', listOf: '{a}, {b}',
    tAccepted: 'Accepted by the hub', tDecided: 'Decided: {channel} – {reason}', tAtFirst: 'Decided at first: {channel} – {reason}', tRedecided: 'Decided once more: {channel} – {reason}', tEnd: 'End: {end}',
    tWaiting: 'Still under way…', moreLogins: 'Show {n} more logins', andMore: '{a} – {b}', answerOf: '{status} {meaning}', answerFrom: '{answer} ({host})', quoted: '“{v}”', joined: '{a}; {b}',
    deviceLeft: 'a device that has left',
    onDuty: '{n} on duty', unreachable: '{n} cannot be reached', muted: '{n} turned notifications off', allReachable: 'Nobody on duty is unreachable.', nobodyOnDuty: 'Nobody is on duty.', notAll: 'There are more agents than were looked at.',
    onlyUnreachable: 'Only who cannot be reached', isReachable: 'Can be reached', isUnreachable: 'On duty, but unreachable', isMuted: 'Turned notifications off', mutedNote: 'By choice, in My profile: no message rings.', noLogin: 'Logged in on no device.',
    find: 'Agent', findAgent: 'id or name', apply: 'Show', unreachableTitle: 'On duty, but unreachable', othersTitle: 'Everybody else on duty', nobodyHere: 'Nobody on duty fits {what}.', noneUnreachable: 'Nobody.', teamAll: 'The figures are of all teams.',
    lastSeen: 'last seen {t}', wouldBe: 'A message now: {channel} – {reason}', inHidden: '{reason}; its page is hidden, so nobody would notice', messages: 'Messages', messagesOf: 'Messages for {name}', more: 'Show more', asOf: 'as of {t}',
    rulesNote: 'Make people up and see what a message would do. These are the very rules the hub decides by; nothing that is there is looked at or changed.',
    rulesTo: 'The message is assigned to', toTeam: 'a team of all of them', name: 'Name', dutyOn: 'on duty', mutedOn: 'turned notifications off', addDevice: 'Add a device', addAgent: 'Add an agent', remove: 'Remove',
    page: 'CAAC’s page there', closed: 'closed', hidden: 'hidden', lapsed: 'hidden: stopped saying it is visible', visible: 'visible, not focused', active: 'looked at', viewing: 'looked at, this very conversation',
    permission: 'Permission', granted: 'granted', denied: 'blocked', default: 'not asked', switchOn: 'switch on', hasPush: 'push subscription', rang: 'rang for this conversation less than 5 s ago', deviceName: 'Device {n}',
    wouldReach: 'It would reach {names}.', wouldReachNobody: 'It would reach nobody: {causes}.', notTold: 'Not told: the message is not for this agent.', row: '(row {n})', rulesTitle: 'The rules: the first row that fits wins', rowWhen: 'When', rowThen: 'Then', rowNo: 'Row',
    wouldHold: 'It would be held for at most 3 s: sent unless the page that shows the conversation confirms it.', wouldWait: 'It rang a moment ago: this would be told by one more ring at the end of 5 s, saying how many wait.', wouldBeHidden: 'Only a count in a hidden page: nobody would notice it.',
    ifUnconfirmed: 'If no page confirms it within 3 s: {channel} – {reason}', unreachableHub: 'The hub does not answer. Is it running?', refused: 'This key or token is not good here any more.',
    busy: 'Looking…', error: 'The hub says: {v}',
  },
  'zh-TW': {
    title: 'CAAC 客服支援', language: '語言', leave: '移除金鑰', live: '即時', notLive: '未連線', connecting: '連線中…',
    away: '伺服器沒有回應。畫面是先前的狀態，每隔幾秒會自動重試。', streamBusy: '同時追蹤的頁面已達上限；請重新搜尋以查看新的變化。', back: '伺服器已恢復回應。',
    enterTitle: '請先確認身分', enterLabel: 'API 金鑰，或具有支援角色的客服權杖', enter: '開啟',
    enterNote: '只保留在這個分頁，關閉後即清除，而且只會傳送到這個伺服器。',
    tabWhy: '為什麼有（沒有）響？', tabReach: '現在聯絡得到誰', tabRules: '試算規則', parts: '頁面的各部分',
    searchBy: '搜尋方式', message: '訊息', conversation: '對話', agent: '客服人員', device: '裝置代碼', searchFor: '搜尋內容',
    forMessage: '訊息編號；留空：最新的', forConversation: '對話編號；留空：最新的', forAgent: '客服人員編號或名稱；留空：全部', forDevice: '「個人檔案」中的八碼代碼；留空：全部',
    reason: '原因', anyReason: '不限', team: '團隊', anyTeam: '不限', until: '不晚於', onlyNobody: '只看沒有通知到任何人的', withText: '顯示內容（仍保留時）', search: '搜尋', reset: '清除',
    looked: '已查看 {n} 則訊息。', lookedBack: '已查看 {n} 則訊息，最早到 {t}。', lookFurther: '繼續查看更早的', stop: '停止查看', pick: '選擇一則訊息，查看它的經過。', goneMessage: '這則訊息已不再保留，或從未在此。',
    noneFound: '沒有找到符合「{what}」的訊息。', noneAtAll: '這裡還沒有任何訊息。', everything: '所有訊息', isAgent: '客服人員 {v}', isDevice: '裝置 {v}', isMessage: '訊息 {v}', isConversation: '對話 {v}',
    isReason: '原因：{v}', isTeam: '團隊 {v}', isNobody: '沒有通知到任何人', isUntil: '不晚於 {v}', and: '、',
    tipAgent: '可輸入客服人員的編號，或名稱的任何一部分；兩者都列在「現在聯絡得到誰」。', tipDevice: '代碼為八個英文字母與數字，四碼、連字號、再四碼，不含 0、1、I、O。客服人員可在「個人檔案」看到。',
    tipMessage: '請輸入後端提供的完整編號。訊息只保留數天。', tipConversation: '請輸入後端提供的完整編號。訊息只保留數天。', tipTeam: '團隊請輸入完整的編號。',
    somethingNew: '之後有新的變化：重新搜尋', results: '找到的訊息', history: '經過',
    reachedNobody: '沒有通知到任何人', reached: '已通知', onItsWay: '處理中', quiet: '已不需要', doubt: '不確定是否顯示', merged: '併入較新訊息', notSent: '未送出', forAgentNow: '給客服人員：', shownThere: '已交給系統',
    verdictNobody: '這則訊息沒有通知到任何人：{causes}。', verdictReached: '已通知到客服人員。', verdictPending: '處理中：還有登入尚未得到結果。',
    verdictDoubt: '推播服務已接收，但沒有裝置回報已顯示：裝置是否開機並連上網路？是否開啟省電模式？', verdictQuiet: '已不需要通知：之前已讀取、已回覆或已改派。',
    verdictMerged: '已由較新訊息的通知一併告知；是否顯示，請看該則訊息的經過。', verdictNotSent: '本來要通知，但沒有送出：{causes}。', verdictMoved: '送出前已改派，而其他人也沒有接到通知：{causes}。',
    assignedTo: '指派給', nobody: '無人', accepted: '接收時間', sent: '送出時間', kind: '類型', text: '內容', erased: '未顯示或已清除', zone: '時間', zoneIs: '{zone}；游標移到時間上可看世界標準時間', listOf: '{a}、{b}',
    tAccepted: '系統已接收', tDecided: '決定：{channel}（{reason}）', tAtFirst: '最初的決定：{channel}（{reason}）', tRedecided: '重新決定：{channel}（{reason}）', tEnd: '結果：{end}',
    tWaiting: '處理中…', moreLogins: '再顯示 {n} 個登入', andMore: '{a}（{b}）', answerOf: '{status} {meaning}', answerFrom: '{answer}，{host}', quoted: '「{v}」', joined: '{a}；{b}',
    deviceLeft: '已移除的裝置',
    onDuty: '{n} 人值班中', unreachable: '{n} 人聯絡不到', muted: '{n} 人關閉了通知', allReachable: '值班中沒有聯絡不到的人。', nobodyOnDuty: '目前無人值班。', notAll: '客服人員太多，只查看了一部分。',
    onlyUnreachable: '只看聯絡不到的人', isReachable: '聯絡得到', isUnreachable: '值班中，但聯絡不到', isMuted: '已關閉通知', mutedNote: '本人在「個人檔案」關閉：任何訊息都不會響。', noLogin: '沒有在任何裝置登入。',
    find: '客服人員', findAgent: '編號或名稱', apply: '顯示', unreachableTitle: '值班中，但聯絡不到', othersTitle: '其他值班中的人', nobodyHere: '沒有符合「{what}」的值班人員。', noneUnreachable: '沒有。', teamAll: '以上為所有團隊的人數。',
    lastSeen: '最後出現 {t}', wouldBe: '現在若有訊息：{channel}（{reason}）', inHidden: '{reason}；頁面在背景，不會有人看到', messages: '訊息', messagesOf: '{name} 的訊息', more: '顯示更多', asOf: '{t} 的狀態',
    rulesNote: '自行設定人員狀態，查看訊息會怎麼通知。使用的就是系統本身的規則，不會讀取或更動任何真實資料。',
    rulesTo: '訊息指派給', toTeam: '全員所屬的團隊', name: '名稱', dutyOn: '值班中', mutedOn: '已關閉通知', addDevice: '新增裝置', addAgent: '新增人員', remove: '移除',
    page: '該裝置上的 CAAC 頁面', closed: '未開啟', hidden: '在背景', lapsed: '在背景：不再回報為可見', visible: '看得到，但未使用', active: '使用中', viewing: '使用中，並開著這個對話',
    permission: '通知權限', granted: '已允許', denied: '已封鎖', default: '未詢問', switchOn: '開關開啟', hasPush: '已訂閱推播', rang: '5 秒內才為這個對話響過', deviceName: '裝置 {n}',
    wouldReach: '會通知到 {names}。', wouldReachNobody: '不會通知到任何人：{causes}。', notTold: '不會通知：這則訊息不是給這位客服人員的。', row: '（第 {n} 列）', rulesTitle: '規則：符合的第一列優先', rowWhen: '情況', rowThen: '結果', rowNo: '列',
    wouldHold: '最多暫緩 3 秒：除非開著這個對話的頁面確認已顯示，否則仍會送出。', wouldWait: '剛剛才響過：會在 5 秒結束時再響一次，並說明有幾則在等。', wouldBeHidden: '只是背景頁面中的數字：不會有人看到。',
    ifUnconfirmed: '若 3 秒內沒有頁面確認：{channel}（{reason}）', unreachableHub: '伺服器沒有回應，是否正在執行？', refused: '這個金鑰或權杖已失效。',
    busy: '查詢中…', error: '伺服器回應：{v}',
  },
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
  const text = TEXTS[language][name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, v) => {
    const value = values[v] ?? '';
    return typeof value === 'number' ? value.toLocaleString(language) : value;
  });
}

/** @param {string} name */
const plain = (name) => name.replaceAll('_', ' ');

/**
 * The words for a name that comes from elsewhere, if there are any.
 * @param {Record<string, Record<string, string>>} terms @param {string} name
 */
const wordsOf = (terms, name) => (Object.hasOwn(terms[language], name) ? terms[language][name] : undefined);

/** @param {string} c */
export const channel = (c) => wordsOf(CHANNELS, c) ?? plain(c);

/** @param {string} r */
export const reason = (r) => wordsOf(REASONS, r) ?? plain(r);

/** @param {string[] | undefined} all */
export const reasonsOf = (all) => [...new Set(all)].map(reason).join(t('and'));

/** What helps with a cause, or is to be known. @param {string} cause */
export const help = (cause) => wordsOf(HELP, cause) ?? '';

/** @param {string} e */
export const end = (e) => wordsOf(ENDS, e) ?? plain(e);

/** @param {string} kind */
export const happening = (kind) => wordsOf(EVENTS, kind) ?? plain(kind);

/** @param {string} kind */
export const kindWords = (kind) => wordsOf(KINDS, kind) ?? KINDS[language].file;

/** The reasons that can be searched for, with their words. */
export const reasons = () => Object.fromEntries(Object.entries(REASONS[language]).filter(([r]) => r !== 'no_receipt' && r !== 'push_test').sort(([, a], [, b]) => a.localeCompare(b, language)));

export const rows = () => ROWS[language];

/**
 * A decision in plain words.
 * @param {import('./hub.js').Decision} d
 * @returns {{channel: string, reason: string}}
 */
export function decided(d) {
  return { channel: channel(d.channel), reason: d.detail ? t('joined', { a: reason(d.reason), b: reason(d.detail) }) : reason(d.reason) };
}

/**
 * What is noted of an event, in plain words. What others said is quoted as it is.
 * @param {string} kind @param {string | undefined} text
 */
export function detail(kind, text) {
  if (!text) return '';
  if (kind !== 'push_answer') return noted(text);
  const [, meaning, status, host, more] = /^(\w+)(?: \((\d+)\))?(?: from ([^:\s]+(?::\d+)?))?(?:: (.*))?$/s.exec(text) ?? [];
  if (!meaning) return noted(text);
  let said = t('answerOf', { status: status ?? '', meaning: wordsOf(ANSWERS, meaning) ?? plain(meaning) }).trim();
  if (host) said = t('answerFrom', { answer: said, host });
  return more && meaning !== 'accepted' ? t('joined', { a: said, b: noted(more) }) : said;
}

/** @param {string} text */
function noted(text) {
  if (wordsOf(REASONS, text)) return reason(text);
  const known = DETAILS.find(([pattern]) => pattern.test(text));
  if (!known) return t('quoted', { v: text });
  return language === 'en' ? text : text.replace(known[0], known[1]);
}

/** An error in plain words. @param {unknown} e */
export function problem(e) {
  if (!(e instanceof Error) || !('code' in e)) return t('unreachableHub');
  return wordsOf(PROBLEMS, String(e.code)) ?? t('error', { v: e.message });
}
