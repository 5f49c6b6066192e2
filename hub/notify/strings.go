package notify

import (
	"strconv"
	"strings"
)

// phrases are the fixed strings of one language.
type phrases struct {
	lang                          string // BCP 47
	image, emoji, sticker, video  string
	file                          string
	contact                       string // stands for a missing name
	message                       string
	messagesBefore, messagesAfter string // around the number, which is at least 2
	testTitle, testBody           string
}

var (
	english = phrases{
		lang:  "en",
		image: "sent an image", emoji: "sent an emoji", sticker: "sent a sticker", video: "sent a video",
		file:    "User sent a file.",
		contact: "Contact",
		message: "New message", messagesAfter: " new messages",
		testTitle: "Push test", testBody: "Push notifications reach this device.",
	}
	chinese = phrases{
		lang:  "zh-TW",
		image: "傳送了圖片", emoji: "傳送了表情符號", sticker: "傳送了貼圖", video: "傳送了影片",
		file:    "使用者傳送了檔案。",
		contact: "聯絡人",
		message: "新訊息", messagesAfter: " 則新訊息",
		testTitle: "推播測試", testBody: "推播通知可以送達這台裝置。",
	}
	japanese = phrases{
		lang:  "ja",
		image: "画像を送信しました", emoji: "絵文字を送信しました", sticker: "スタンプを送信しました", video: "動画を送信しました",
		file:    "ユーザーがファイルを送信しました。",
		contact: "連絡先",
		message: "新しいメッセージ", messagesBefore: "新しいメッセージ ", messagesAfter: " 件",
		testTitle: "プッシュテスト", testBody: "プッシュ通知がこのデバイスに届いています。",
	}
	thai = phrases{
		lang:  "th",
		image: "ส่งรูปภาพ", emoji: "ส่งอีโมจิ", sticker: "ส่งสติกเกอร์", video: "ส่งวิดีโอ",
		file:    "ผู้ใช้ส่งไฟล์",
		contact: "ผู้ติดต่อ",
		message: "ข้อความใหม่", messagesBefore: "ข้อความใหม่ ", messagesAfter: " ข้อความ",
		testTitle: "ทดสอบการแจ้งเตือนแบบพุช", testBody: "การแจ้งเตือนแบบพุชส่งถึงอุปกรณ์นี้แล้ว",
	}
)

// Languages are those that texts exist in, as BCP 47 tags.
var Languages = []string{english.lang, chinese.lang, japanese.lang, thai.lang}

// Language returns which of Languages serves a locale, en where none does. It
// goes by the language alone: any Chinese is served zh-TW.
func Language(locale string) string { return phrasesFor(locale).lang }

func phrasesFor(locale string) *phrases {
	lang, _, _ := strings.Cut(strings.ReplaceAll(locale, "_", "-"), "-")
	switch strings.ToLower(lang) {
	case "zh":
		return &chinese
	case "ja":
		return &japanese
	case "th":
		return &thai
	}
	return &english
}

// waiting says how many messages wait.
func (p *phrases) waiting(n int) string {
	if n <= 1 {
		return p.message
	}
	return p.messagesBefore + strconv.Itoa(n) + p.messagesAfter
}
