package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

type traceCmd struct {
	address
	ID           string `arg:"" help:"The message's id."`
	Conversation string `short:"c" placeholder:"ID" help:"Its conversation, where several have a message with this id."`
	Text         bool   `help:"Show the message's text, as long as it is kept."`
	JSON         bool   `help:"Print the answer's JSON."`
}

func (traceCmd) Help() string {
	return "Examples:\n  caac-hub trace 0198c1f2-6c1e-7d3e-a3b0-0f7a5b1c9d10\n  caac-hub trace m-1 --conversation c-17 --json"
}

func (t *traceCmd) Run(ctx context.Context, w *world) error {
	c, err := t.client(w)
	if err != nil {
		return err
	}
	q := url.Values{"message": {t.ID}, "limit": {"20"}}
	if t.Conversation != "" {
		q.Set("conversation", t.Conversation)
	}
	if t.Text {
		q.Set("text", "true")
	}
	b, err := c.ask(ctx, http.MethodGet, "/v1/traces?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	var out struct {
		Traces []hub.Trace `json:"traces"`
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return err
	}
	if len(out.Traces) == 0 {
		return fmt.Errorf("no message %q is known; traces are kept for retention.traces", t.ID)
	}
	if t.JSON {
		return w.printJSON(out.Traces)
	}
	for i, one := range out.Traces {
		if i > 0 {
			w.printf("\n")
		}
		w.printf("%s", timeline(one))
	}
	return nil
}

// timeline tells a trace: the message, the outcome in a line, then each login.
func timeline(t hub.Trace) string {
	var b strings.Builder
	m := t.Message
	fmt.Fprintf(&b, "message %s (%s) in conversation %s, seq %d\n", m.ID, m.Kind, m.Conversation, m.Seq)
	fmt.Fprintf(&b, "  accepted %s, %s\n", m.Accepted.Local().Format("2006-01-02 15:04:05.000"), assigned(m.Assignment))
	if m.Text != "" {
		fmt.Fprintf(&b, "  text     %q\n", m.Text)
	}
	fmt.Fprintf(&b, "  outcome  %s\n", outcome(t))
	for _, d := range t.Deliveries {
		b.WriteString("\n")
		who := cmp.Or(d.Agent, "nobody")
		if d.Device != "" {
			who += " on " + d.Device
		}
		fmt.Fprintf(&b, "  %s: %s\n", who, told(d.Decision))
		if d.First != nil {
			fmt.Fprintf(&b, "    at first %s\n", told(*d.First))
		}
		events := slices.Clone(d.Events)
		slices.SortStableFunc(events, func(x, y notify.Event) int { return x.At.Compare(y.At) })
		for _, e := range events {
			line := fmt.Sprintf("    %9s  %s", after(m.Accepted, e.At), strings.ReplaceAll(string(e.Kind), "_", " "))
			if e.Detail != "" {
				line += ": " + e.Detail
			}
			b.WriteString(line + "\n")
		}
		switch {
		case d.End == "":
			b.WriteString("    not ended yet\n")
		case d.End == notify.EndNone:
		default:
			line := fmt.Sprintf("    %9s  ended %s", after(m.Accepted, d.Ended), d.End)
			if d.EndReason != "" {
				line += ", " + string(d.EndReason)
			}
			if d.Into != "" {
				line += " into " + d.Into
			}
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func assigned(a notify.Assignment) string {
	switch {
	case a.Agent != "" && a.Team != "":
		return "assigned to agent " + a.Agent + " (and team " + a.Team + ")"
	case a.Agent != "":
		return "assigned to agent " + a.Agent
	case a.Team != "":
		return "assigned to team " + a.Team
	}
	return "assigned to nobody"
}

func outcome(t hub.Trace) string {
	switch {
	case t.Pending && len(t.Deliveries) == 0:
		return "not decided yet"
	case t.Pending:
		return "under way"
	case t.ReachedNobody:
		causes := make([]string, len(t.Causes))
		for i, c := range t.Causes {
			causes[i] = string(c)
		}
		return "reached nobody: " + strings.Join(causes, ", ")
	case t.Reached:
		return "reached"
	}
	return "ended"
}

func told(d notify.Decision) string {
	s := string(d.Channel) + ", " + string(d.Reason)
	if d.Detail != "" {
		s += " (" + string(d.Detail) + ")"
	}
	if d.Held {
		s += ", held for the page that views the conversation"
	}
	return s
}

// after is how long after the message something happened.
func after(start, at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return fmt.Sprintf("+%.3f s", at.Sub(start).Seconds())
}
