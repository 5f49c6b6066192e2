//go:build redis && valkey

package redis_test

import (
	"testing"

	redistest "caac-hub/test/redis"
)

func TestBusConformsOnValkey(t *testing.T) {
	o := memory
	o.Binary = "valkey-server"
	conforms(t, redistest.Start(t, o).URL())
}
