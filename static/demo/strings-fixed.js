/**
 * The fixed strings by language and kind of message, as notifications have them.
 * @type {Record<string, Record<string, string>>}
 */
export const FIXED = {
  en: { image: 'sent an image', emoji: 'sent an emoji', sticker: 'sent a sticker', video: 'sent a video', file: 'User sent a file.' },
  'zh-TW': { image: '傳送了圖片', emoji: '傳送了表情符號', sticker: '傳送了貼圖', video: '傳送了影片', file: '使用者傳送了檔案。' },
  ja: { image: '画像を送信しました', emoji: '絵文字を送信しました', sticker: 'スタンプを送信しました', video: '動画を送信しました', file: 'ユーザーがファイルを送信しました。' },
  th: { image: 'ส่งรูปภาพ', emoji: 'ส่งอีโมจิ', sticker: 'ส่งสติกเกอร์', video: 'ส่งวิดีโอ', file: 'ผู้ใช้ส่งไฟล์' },
};
