package config

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/redis/go-redis/v9"
)

// checkRedisURL says what is wrong with a redis.url. No part of it that may be
// a secret stands in the error.
func checkRedisURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("is no URL")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return fmt.Errorf("%q is not redis:// or rediss://", u.Scheme)
	}
	if u.Host == "" {
		return errors.New("it names no host")
	}
	switch q := u.Query(); {
	case q.Has("master_name"):
		_, err = redis.ParseFailoverURL(text)
	case q.Has("addr"):
		_, err = redis.ParseClusterURL(text)
	default:
		_, err = redis.ParseURL(text)
	}
	return err
}
