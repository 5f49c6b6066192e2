package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"caac-hub/http/serve"
)

// withAdmin lends the deployment in the configured data folder to f.
func (w *world) withAdmin(ctx context.Context, f func(serve.Admin) error) error {
	c, err := w.load()
	if err != nil {
		return err
	}
	a, done, err := serve.OpenAdmin(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(f(a), done())
}

func (w *world) printJSON(v any) error {
	e := json.NewEncoder(w.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

type vapidCmd struct {
	Show struct {
		vapidShowCmd
	} `cmd:"" default:"withargs" help:"Show the keys (the default)."`
	Rotate vapidRotateCmd `cmd:"" help:"Make a new key, which running hubs use within seconds."`
}

func (vapidCmd) Help() string {
	return `The first key is the one pages subscribe with. An older one signs the pushes to subscriptions made
with it until the last of them is gone. Then it is removed, a day after the rotation at the earliest.

Examples:
  caac-hub vapid
  caac-hub vapid show --json --private
  caac-hub vapid rotate`
}

type vapidShowCmd struct {
	JSON    bool `help:"Print JSON."`
	Private bool `help:"Show the private halves too, base64url."`
}

func (v *vapidShowCmd) Run(ctx context.Context, w *world) error {
	return w.withAdmin(ctx, func(a serve.Admin) error {
		keys, err := a.VAPID(ctx, v.Private)
		if err != nil {
			return err
		}
		if v.JSON {
			return w.printJSON(keys)
		}
		for i, k := range keys {
			state := "current"
			if i > 0 {
				state = "older"
			}
			w.printf("%s  %s, made %s, %s\n  public   %s\n", k.ID, state, k.Created.Format(time.RFC3339), subscriptions(k.Subscriptions), k.Public)
			if k.Private != "" {
				w.printf("  private  %s\n", k.Private)
			}
		}
		return nil
	})
}

type vapidRotateCmd struct{}

func (vapidRotateCmd) Run(ctx context.Context, w *world) error {
	return w.withAdmin(ctx, func(a serve.Admin) error {
		k, err := a.RotateVAPID(ctx)
		if err != nil {
			return err
		}
		w.printf("%s  current within seconds\n  public   %s\n", k.ID, k.Public)
		w.printf("Open pages subscribe anew within minutes, others when they next connect; an iPhone may ask for a tap.\n")
		keys, err := a.VAPID(ctx, false)
		if err != nil {
			return err
		}
		for _, old := range keys[1:] {
			w.printf("%s  signs for %s until the last is gone\n", old.ID, subscriptions(old.Subscriptions))
		}
		return nil
	})
}

func subscriptions(n int) string {
	if n == 1 {
		return "1 subscription"
	}
	return fmt.Sprintf("%d subscriptions", n)
}

type apikeyCmd struct {
	Create apikeyCreateCmd `cmd:"" help:"Create a key and print it, once."`
	List   apikeyListCmd   `cmd:"" help:"List the keys by id and name."`
	Revoke apikeyRevokeCmd `cmd:"" help:"Revoke a key by its id; it holds within 2 s."`
}

func (apikeyCmd) Help() string {
	return "Examples:\n  caac-hub apikey create backend\n  caac-hub apikey list\n  caac-hub apikey revoke 0a1b2c3d"
}

type apikeyCreateCmd struct {
	Name string `arg:"" help:"What the key is for."`
}

func (k *apikeyCreateCmd) Run(ctx context.Context, w *world) error {
	return w.withAdmin(ctx, func(a serve.Admin) error {
		made, err := a.CreateKey(ctx, k.Name)
		if err == nil {
			w.printf("%s\n", made.Key)
		}
		return err
	})
}

type apikeyListCmd struct {
	JSON bool `help:"Print JSON."`
}

func (k *apikeyListCmd) Run(ctx context.Context, w *world) error {
	return w.withAdmin(ctx, func(a serve.Admin) error {
		keys, err := a.Keys(ctx)
		if err != nil {
			return err
		}
		if k.JSON {
			type shown struct {
				ID      string    `json:"id"`
				Name    string    `json:"name"`
				Created time.Time `json:"created"`
			}
			out := []shown{}
			for _, k := range keys {
				out = append(out, shown{k.ID, k.Name, k.Created})
			}
			return w.printJSON(out)
		}
		t := tabwriter.NewWriter(w.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "ID\tCREATED\tNAME")
		for _, k := range keys {
			fmt.Fprintf(t, "%s\t%s\t%s\n", k.ID, k.Created.Format(time.DateTime), k.Name)
		}
		return t.Flush()
	})
}

type apikeyRevokeCmd struct {
	ID string `arg:"" help:"The key's id, as apikey list shows it."`
}

func (k *apikeyRevokeCmd) Run(ctx context.Context, w *world) error {
	return w.withAdmin(ctx, func(a serve.Admin) error {
		err := a.RevokeKey(ctx, k.ID)
		if err == nil {
			w.printf("revoked %s\n", k.ID)
		}
		return err
	})
}

type tokenCmd struct {
	Agent string        `arg:"" help:"The agent's id."`
	TTL   time.Duration `default:"1h" help:"How long the token is good."`
}

func (tokenCmd) Help() string {
	return "Works where the hub knows the secret: in demo mode, or with auth.jwt_secret.\n\nExample:\n  curl -H \"Authorization: Bearer $(caac-hub token mei)\" http://localhost:8080/v1/me"
}

func (t *tokenCmd) Run(ctx context.Context, w *world) error {
	if t.TTL <= 0 || t.TTL > 30*24*time.Hour {
		return usage("--ttl %s: more than 0 and at most 720h is allowed", t.TTL)
	}
	return w.withAdmin(ctx, func(a serve.Admin) error {
		made, err := a.Token(ctx, t.Agent, t.TTL)
		if err == nil {
			w.printf("%s\n", made.Token)
		}
		return err
	})
}

type backupCmd struct {
	File string `arg:"" help:"The file to write; it must not exist yet."`
}

func (backupCmd) Help() string {
	return "The copy is a whole data file: put it into an empty data folder as hub.db to restore it. It holds secrets; keep it like the data folder.\n\nExample:\n  caac-hub backup /var/backups/caac-$(date +%F).db"
}

func (b *backupCmd) Run(ctx context.Context, w *world) error {
	file, err := filepath.Abs(b.File)
	if err != nil {
		return err
	}
	c, err := w.load()
	if err != nil {
		return err
	}
	if err := serve.Backup(ctx, c, file); err != nil {
		return err
	}
	w.printf("%s\n", file)
	return nil
}
