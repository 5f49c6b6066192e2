package redis

import (
	"embed"

	"caac-hub/hub/redisconn"
)

//go:embed scripts/*.lua
var sources embed.FS

func source(name string) string {
	b, err := sources.ReadFile("scripts/" + name + ".lua")
	if err != nil {
		panic(err)
	}
	return string(b)
}

// writing joins the parts of a script that writes.
func writing(parts ...string) *redisconn.Script {
	src := source("prelude")
	for _, p := range parts {
		src += source(p)
	}
	return redisconn.NewScript(src)
}

var (
	putScript             = writing("put")
	deleteScript          = writing("delete")
	claimEndpointScript   = writing("claim_endpoint")
	settleEndpointScript  = writing("settle_endpoint")
	acceptScript          = writing("due", "accept")
	putConversationScript = writing("due", "put_conversation")
	commitScript          = writing("due", "commit")
	claimScript           = writing("claim")
	leaseScript           = writing("lease")
	eraseScript           = writing("erase")
	dropFanoutsScript     = writing("drop_fanouts")
	dropMessagesScript    = writing("drop_messages")
	forgetScript          = writing("forget")
	touchScript           = writing("touch")
	importRowScript       = writing("import_row")
	importDueScript       = writing("due", "import_due")
	importUnreadScript    = writing("import_unread")
	importEndpointScript  = writing("import_endpoint")
	unreadScript          = redisconn.NewReadScript(source("unread"))
	pendingScript         = redisconn.NewReadScript(source("pending"))
)
