package push

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"caac-hub/hub/notify"
)

func TestEachServicesAnswersAreClassified(t *testing.T) {
	const fcmMismatch = "the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.\n"
	for _, test := range []struct {
		host   string
		status int
		body   string
		want   notify.PushClass
		detail string
	}{
		{fcmHost, 201, "", notify.AnswerAccepted, "Created"},
		{fcmHost, 200, "", notify.AnswerAccepted, "OK"},
		{fcmHost, 202, "", notify.AnswerAccepted, "Accepted"},
		{fcmHost, 301, "", notify.AnswerRedirect, "Moved Permanently"},
		{fcmHost, 304, "", notify.AnswerRedirect, "Not Modified"},
		{fcmHost, 400, "invalid\nTTL", notify.AnswerBadRequest, "invalid TTL"},
		{fcmHost, 401, "", notify.AnswerAuth, "Unauthorized"},
		{fcmHost, 403, fcmMismatch, notify.AnswerKeyMismatch, "the VAPID credentials"},
		{fcmHost, 403, "the key in the authorization header does not correspond to the sender ID used to subscribe this user.", notify.AnswerKeyMismatch, "the key"},
		{fcmHost, 403, "permission denied", notify.AnswerAuth, "permission denied"},
		{fcmHost, 404, "", notify.AnswerGone, "Not Found"},
		{fcmHost, 410, "push subscription has unsubscribed or expired.", notify.AnswerGone, "push subscription"},
		{fcmHost, 413, "", notify.AnswerTooLarge, "Request Entity"},
		{fcmHost, 418, "", notify.AnswerBadRequest, "teapot"},
		{fcmHost, 429, "", notify.AnswerThrottled, "Too Many"},
		{fcmHost, 500, "", notify.AnswerServerError, "Internal"},
		{fcmHost, 502, "", notify.AnswerServerError, "Bad Gateway"},
		{fcmHost, 503, "", notify.AnswerThrottled, "Unavailable"},
		{appleHost, 400, `{"reason":"BadWebPushTopic"}`, notify.AnswerBadRequest, "BadWebPushTopic"},
		{appleHost, 403, `{"reason":"BadJwtToken"}`, notify.AnswerAuth, "BadJwtToken"},
		{appleHost, 403, `{"reason":"VapidPkHashMismatch"}`, notify.AnswerKeyMismatch, "VapidPkHashMismatch"},
		{appleHost, 400, `{"reason":"VapidPkHashMismatch"}`, notify.AnswerKeyMismatch, "VapidPkHashMismatch"},
		{appleHost, 403, fcmMismatch, notify.AnswerAuth, "the VAPID credentials"},
		{appleHost, 404, `{"reason":"VapidPkHashMismatch"}`, notify.AnswerGone, "VapidPkHashMismatch"},
		{appleHost, 410, `{"reason":"Unregistered"}`, notify.AnswerGone, "Unregistered"},
		{appleHost, 413, `{"reason":"PayloadTooLarge"}`, notify.AnswerTooLarge, "PayloadTooLarge"},
		{appleHost, 429, `{"reason":"TooManyProviderTokenUpdates"}`, notify.AnswerThrottled, "TooManyProviderTokenUpdates"},
		{appleHost, 403, `{"reason":`, notify.AnswerAuth, `{"reason":`},
		{mozillaHost, 401, `{"code":401,"errno":109,"error":"Unauthorized","message":"Invalid bearer token"}`, notify.AnswerAuth, "errno 109: Unauthorized: Invalid bearer token"},
		{mozillaHost, 401, `{"code":401,"errno":109,"error":"Unauthorized"}`, notify.AnswerAuth, "errno 109"},
		{mozillaHost, 401, `{"code":401,"errno":109,"error":"Unauthorized","message":"VAPID public key mismatch"}`, notify.AnswerKeyMismatch, "mismatch"},
		{mozillaHost, 404, `{"errno":102,"error":"Not Found"}`, notify.AnswerGone, "errno 102: Not Found"},
		{mozillaHost, 410, `{"errno":106,"error":"Gone"}`, notify.AnswerGone, "errno 106: Gone"},
		{mozillaHost, 413, `{"errno":104,"error":"Payload Too Large"}`, notify.AnswerTooLarge, "errno 104"},
		{mozillaHost, 503, `{"errno":202,"error":"Service Unavailable"}`, notify.AnswerThrottled, "errno 202"},
		{windowsHost, 403, fcmMismatch, notify.AnswerAuth, "the VAPID credentials"},
		{windowsHost, 410, "", notify.AnswerGone, "Gone"},
	} {
		all := newServices(t)
		all.serve(test.host, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(test.status)
			if test.status != http.StatusNotModified {
				io.WriteString(w, test.body)
			}
		})
		a := all.sender(Options{}).Send(t.Context(), newBrowser(t).subscription("https://"+test.host+"/x"), message)
		if a.Class != test.want || a.Status != test.status || a.Host != test.host || !strings.Contains(a.Detail, test.detail) {
			t.Errorf("%s %d %s: %+v", test.host, test.status, test.body, a)
		}
	}
}

func TestRetryAfterIsSecondsOrADateWithinBounds(t *testing.T) {
	at := newClock()
	for header, want := range map[string]time.Duration{
		"":                        0,
		"0":                       0,
		"120":                     2 * time.Minute,
		" 120 ":                   2 * time.Minute,
		"3601":                    time.Hour,
		"99999999999999999999999": time.Hour,
		"9223372037":              time.Hour,
		"-5":                      0,
		"1.5":                     0,
		"soon":                    0,
		at.at.UTC().Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		at.at.UTC().Add(-time.Hour).Format(http.TimeFormat):       0,
		at.at.UTC().Add(48 * time.Hour).Format(http.TimeFormat):   time.Hour,
	} {
		for _, status := range []int{429, 503} {
			all := newServices(t)
			all.serve(mozillaHost, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", header)
				w.WriteHeader(status)
			})
			a := all.sender(Options{Now: at.now}).Send(t.Context(), newBrowser(t).subscription("https://"+mozillaHost+"/x"), message)
			if a.Class != notify.AnswerThrottled || a.RetryAfter != want {
				t.Errorf("%d, Retry-After %q: %v, want %v", status, header, a.RetryAfter, want)
			}
		}
	}
}

func TestDetailHoldsNoSecretAndNoControlCharacter(t *testing.T) {
	const path = "/fcm/send/cITe60iQR1w:APA91bEWLv9IwSyWN8oenp2Z9vUx1Y3mhWBoiNKpWi45RRrU9"
	for _, test := range []struct{ body, want string }{
		{"no such token cITe60iQR1w:APA91bEWLv9IwSyWN8oenp2Z9vUx1Y3mhWBoiNKpWi45RRrU9", "no such token …:…"},
		{"see https://fcm.googleapis.com" + path + ".", "see https://fcm.googleapis.com/…"},
		{"bad key BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vC, sorry", "bad key …, sorry"},
		{"a\x00b\x1b[31mc\r\n\td\u2028e\u202ef", "a b [31mc d e f"},
		{"\xff\xfe text", "text"},
		{"TooManyProviderTokenUpdates in error-reports", "TooManyProviderTokenUpdates in error-reports"},
		{strings.Repeat("é ", 150), strings.Repeat("é ", 65) + "é…"},
	} {
		all := newServices(t)
		all.serve(fcmHost, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, test.body)
		})
		a := all.sender(Options{}).Send(t.Context(), newBrowser(t).subscription("https://"+fcmHost+path), message)
		if a.Detail != test.want || len(a.Detail) > maxDetail {
			t.Errorf("%q becomes %q, want %q", test.body, a.Detail, test.want)
		}
	}
}

func FuzzDetailIsAlwaysShortPrintableText(f *testing.F) {
	f.Add("https://x/y?z \x00 é", 10)
	endpoint := &url.URL{Scheme: "https", Host: fcmHost, Path: "/a/secretsecret"}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = 8 + max(0, limit)%400
		got := clean(hide(text, endpoint), limit)
		if len(got) > limit || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00\x1b") || strings.Contains(got, "secretsecret") {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}
