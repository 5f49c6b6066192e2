// Package static holds the files that browsers load: the SDK, the service
// worker and the demo's pages, as they are: nothing is built before they run.
package static

import "embed"

// FS has sw.js, base.css and page.js (of all pages), sdk/ (the browser SDK), support/ (support's
// page) and demo/ (the demo's pages) at its root.
// sw.js loads its code from sdk/ beside it and controls the pages below its own
// folder, so it belongs at the root of the pages' origin.
//
//go:embed base.css page.js sw.js sdk demo support
var FS embed.FS
