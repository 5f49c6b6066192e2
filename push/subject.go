package push

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
)

// specialNames are top-level names that never lead to a person (RFC 6761, RFC
// 6762 and the like); Apple answers 403 BadJwtToken to them.
var specialNames = []string{"localhost", "local", "invalid", "example", "test", "internal", "onion", "arpa"}

// CheckSubject answers nil if push services take the string as the VAPID
// subject (RFC 8292 section 2.1), by the strictest of them, Apple's.
func CheckSubject(subject string) error {
	domain, err := subjectDomain(subject)
	if err != nil {
		return fmt.Errorf("VAPID subject: %w", err)
	}
	if err := checkDomain(domain); err != nil {
		return fmt.Errorf("VAPID subject: %w; push services want an address people can be reached at", err)
	}
	return nil
}

func subjectDomain(subject string) (string, error) {
	if len(subject) > 255 || !printable(subject) {
		return "", errors.New("want at most 255 printable ASCII characters without spaces")
	}
	if address, ok := strings.CutPrefix(subject, "mailto:"); ok {
		parsed, err := mail.ParseAddress(address)
		if err != nil || parsed.Address != address || strings.ContainsAny(address, `"?[`) {
			return "", errors.New("want one plain address after mailto:, such as mailto:ops@your-domain")
		}
		return address[strings.LastIndexByte(address, '@')+1:], nil
	}
	if strings.HasPrefix(subject, "https://") {
		u, err := url.Parse(subject)
		if err != nil || u.User != nil || u.Fragment != "" {
			return "", errors.New("want an https URL without a user and a fragment, such as https://your-domain/contact")
		}
		return u.Hostname(), nil
	}
	return "", errors.New("want mailto: with an address, or an https:// URL")
}

// checkDomain refuses what is not a plausible public domain name.
func checkDomain(domain string) error {
	labels := strings.Split(strings.ToLower(domain), ".")
	if err := checkLabels(labels); err != nil {
		return fmt.Errorf("%q: %w", domain, err)
	}
	top := labels[len(labels)-1]
	for _, special := range specialNames {
		if top == special {
			return fmt.Errorf("%q: names under .%s are not public", domain, special)
		}
	}
	return nil
}

// checkLabels answers nil for a lower-case ASCII host name of at least two
// labels that is not an IP address.
func checkLabels(labels []string) error {
	if len(labels) < 2 {
		return errors.New("want a full domain name with a dot")
	}
	total := 0
	for _, label := range labels {
		total += len(label) + 1
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("not a domain name")
		}
		for i := range len(label) {
			c := label[i]
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
				return errors.New("a domain name has only letters, digits, hyphens and dots")
			}
		}
	}
	if top := labels[len(labels)-1]; total > 254 || len(top) < 2 || '0' <= top[0] && top[0] <= '9' {
		return errors.New("not a domain name")
	}
	return nil
}

// printable reports whether s is ASCII without spaces and control characters.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
