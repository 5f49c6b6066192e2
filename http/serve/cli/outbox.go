package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"caac-hub/hub"
)

type outboxCmd struct {
	List  outboxListCmd  `cmd:"" help:"List work that failed for good, with the reason."`
	Retry outboxRetryCmd `cmd:"" help:"Put failed work back."`
}

func (outboxCmd) Help() string {
	return "Examples:\n  caac-hub outbox list\n  caac-hub outbox retry --all"
}

type outboxListCmd struct {
	address
	JSON bool `help:"Print the answer's JSON."`
}

func (o *outboxListCmd) Run(ctx context.Context, w *world) error {
	c, err := o.client(w)
	if err != nil {
		return err
	}
	b, err := c.ask(ctx, http.MethodGet, "/v1/outbox?limit=500", nil)
	if err != nil {
		return err
	}
	var out struct {
		Dead []hub.DeadWork `json:"dead"`
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return err
	}
	if o.JSON {
		return w.printJSON(out.Dead)
	}
	if len(out.Dead) == 0 {
		w.printf("nothing failed for good\n")
		return nil
	}
	t := tabwriter.NewWriter(w.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "AT\tATTEMPTS\tKEY\tWHY")
	for _, d := range out.Dead {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", d.At.Local().Format(time.DateTime), d.Attempt, d.Key, d.Why)
	}
	return t.Flush()
}

type outboxRetryCmd struct {
	address
	Key string `arg:"" optional:"" help:"The key, as outbox list shows it."`
	All bool   `help:"Retry everything."`
}

func (o *outboxRetryCmd) Run(ctx context.Context, w *world) error {
	if (o.Key == "") != o.All {
		return usage("name the key to retry, or say --all")
	}
	c, err := o.client(w)
	if err != nil {
		return err
	}
	b, err := c.ask(ctx, http.MethodPost, "/v1/outbox/retry", map[string]string{"key": o.Key})
	if err != nil {
		return err
	}
	var out struct {
		Retried int `json:"retried"`
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return err
	}
	w.printf("retried %d\n", out.Retried)
	return nil
}
