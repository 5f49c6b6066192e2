package sqlite

import "fmt"

// applicationID marks the file as a hub's ("CAAC").
const applicationID = 0x43414143

// migrations[i] brings a database from user_version i to i+1.
var migrations = []string{`
CREATE TABLE state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, rev INTEGER NOT NULL, value BLOB NOT NULL);
CREATE TABLE agents (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, doc BLOB NOT NULL);
CREATE TABLE teams (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, doc BLOB NOT NULL);
CREATE TABLE devices (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, endpoint TEXT, doc BLOB NOT NULL);
CREATE INDEX devices_endpoint ON devices (endpoint) WHERE endpoint IS NOT NULL;
CREATE TABLE conversations (
	id TEXT PRIMARY KEY, rev INTEGER NOT NULL, contact TEXT NOT NULL,
	agent TEXT NOT NULL, team TEXT NOT NULL, version INTEGER NOT NULL,
	seq INTEGER NOT NULL, answered INTEGER NOT NULL, newest TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE messages (
	n INTEGER PRIMARY KEY, conversation TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL,
	kind TEXT NOT NULL, text TEXT NOT NULL, thumbnail TEXT NOT NULL, contact TEXT NOT NULL, hash TEXT NOT NULL,
	sent INTEGER NOT NULL, accepted INTEGER NOT NULL,
	agent TEXT NOT NULL, team TEXT NOT NULL, version INTEGER NOT NULL
);
CREATE UNIQUE INDEX messages_id ON messages (id, conversation);
CREATE INDEX messages_conversation ON messages (conversation, accepted);
CREATE INDEX messages_accepted ON messages (accepted);
CREATE TABLE fanouts (
	n INTEGER PRIMARY KEY, message TEXT NOT NULL, conversation TEXT NOT NULL,
	rev INTEGER NOT NULL, ended INTEGER NOT NULL, doc BLOB NOT NULL
);
CREATE UNIQUE INDEX fanouts_message ON fanouts (message, conversation);
CREATE TABLE unread (conversation TEXT PRIMARY KEY, doc BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE due (
	key TEXT PRIMARY KEY, kind TEXT NOT NULL, at INTEGER NOT NULL, attempt INTEGER NOT NULL,
	body BLOB, dead TEXT NOT NULL, rev INTEGER NOT NULL
) WITHOUT ROWID;
`}

// migrate brings the database to the newest schema, each step in its own
// transaction.
func migrate(c *conn) error {
	version, err := c.int("PRAGMA user_version")
	if err != nil {
		return err
	}
	id, err := c.int("PRAGMA application_id")
	if err != nil {
		return err
	}
	tables, err := c.int("SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	if id != applicationID && tables > 0 {
		return fmt.Errorf("this is a SQLite database of another program (application_id %#x)", id)
	}
	if version > int64(len(migrations)) {
		return fmt.Errorf("it was written by a newer version of the hub (schema %d, this version knows up to %d): start that version, or restore a backup", version, len(migrations))
	}
	for v := int(version); v < len(migrations); v++ {
		script := fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", migrations[v], applicationID, v+1)
		if err := c.script(script); err != nil {
			c.script("ROLLBACK")
			return fmt.Errorf("migration to schema %d: %w", v+1, err)
		}
	}
	return nil
}
