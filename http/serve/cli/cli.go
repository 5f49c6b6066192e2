// Package cli is the command line: one command for the hub itself and small
// ones for the people who run it.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"caac-hub/config"
)

// Exit codes.
const (
	OK          = 0
	Failed      = 1 // the command was understood and did not succeed
	Usage       = 2 // the command line or the configuration is wrong
	Unreachable = 3 // no hub answers at the address
)

// Env is the world a command line is run in.
type Env struct {
	Command string   // what people typed to start the program: "go run ." or its name
	Args    []string // without the program's name
	Environ []string
	Stdout  io.Writer
	Stderr  io.Writer
	Version string
}

// grammar is the command line: flags for everyone, and the commands.
type grammar struct {
	Config    string   `placeholder:"FILE" help:"Configuration file, YAML (CAAC_CONFIG)."`
	Mode      string   `placeholder:"MODE" help:"demo or production (CAAC_MODE)."`
	Listen    string   `placeholder:"HOST:PORT" help:"Where the hub listens (CAAC_LISTEN)."`
	PublicURL string   `placeholder:"ORIGIN" help:"Origin browsers reach the hub at (CAAC_PUBLIC_URL)."`
	DataDir   string   `placeholder:"DIR" help:"Folder of everything that must outlive the program (CAAC_DATA_DIR)."`
	LogLevel  string   `placeholder:"LEVEL" help:"debug, info, warn or error (CAAC_LOG_LEVEL)."`
	Set       []string `placeholder:"KEY=VALUE" sep:"none" help:"Set any configuration key; check-config lists them. Repeatable."`

	Serve       serveCmd       `cmd:"" default:"withargs" help:"Run the hub (the default)."`
	CheckConfig checkConfigCmd `cmd:"" help:"Print the effective configuration, secrets hidden, and every mistake in it."`
	Vapid       vapidCmd       `cmd:"" help:"Show the keys that pages subscribe with, or rotate them."`
	Apikey      apikeyCmd      `cmd:"" help:"Create, list and revoke the backend's API keys."`
	Token       tokenCmd       `cmd:"" help:"Sign an agent token (JWT) for trying."`
	Send        sendCmd        `cmd:"" help:"Post a contact's message to a running hub."`
	Trace       traceCmd       `cmd:"" help:"Tell what happened to a message: who was told, how, or why not."`
	Outbox      outboxCmd      `cmd:"" help:"List work that failed for good, or retry it."`
	Migrate     migrateCmd     `cmd:"" help:"Move a stopped hub's state from the data folder to Redis."`
	RedisInit   redisInitCmd   `cmd:"" help:"Say that a Redis that is new, or was emptied, may be used."`
	Backup      backupCmd      `cmd:"" help:"Write a copy of the state to a file; the hub may run meanwhile."`
	Health      healthCmd      `cmd:"" help:"Ask the hub at the configured address how it is, for containers."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

const description = `CAAC notification hub: tells the right agent of a waiting contact, on whatever device is at hand.

Configuration comes from a file, from CAAC_ variables and from flags, weak to strong.

Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 3 no hub answers.`

// world is what commands are handed.
type world struct {
	Env
	sources config.Sources
}

// load reads the configuration; its mistakes are the caller's to tell.
func (w *world) load() (config.Config, error) {
	l, err := config.Load(w.sources)
	if err != nil {
		return config.Config{}, err
	}
	return l.Config, nil
}

func (w *world) printf(format string, a ...any) { fmt.Fprintf(w.Stdout, format, a...) }

// coded is an error with the exit code it ends the program with.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

func usage(format string, a ...any) error { return coded{fmt.Errorf(format, a...), Usage} }

// exited carries an exit that the parser asks for (help) through its caller.
type exited int

// Main runs one command line and returns the exit code.
func Main(ctx context.Context, e Env) (code int) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case exited:
			code = int(v)
		default:
			panic(v)
		}
	}()
	var g grammar
	parser, err := kong.New(&g,
		kong.Name("caac-hub"),
		kong.Description(description),
		kong.Writers(e.Stdout, e.Stderr),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
	)
	if err != nil {
		panic(err)
	}
	parsed, err := parser.Parse(e.Args)
	if err != nil {
		fmt.Fprintf(e.Stderr, "%v\n%s --help shows what there is.\n", err, e.Command)
		return Usage
	}
	w := &world{Env: e}
	if w.sources, err = g.sources(e.Environ); err == nil {
		err = parsed.Run(ctx, w)
	}
	if err == nil {
		return OK
	}
	fmt.Fprintln(e.Stderr, err)
	var c coded
	var m config.Mistakes
	switch {
	case errors.As(err, &c):
		return c.code
	case errors.As(err, &m):
		return Usage
	}
	return Failed
}

// sources is the configuration's part of the command line. --set is weaker than
// a flag of its own.
func (g *grammar) sources(environ []string) (config.Sources, error) {
	flags := map[string]string{}
	for _, text := range g.Set {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return config.Sources{}, usage("--set %q: want KEY=VALUE, e.g. --set drain_timeout=5s", text)
		}
		flags[key] = value
	}
	for key, value := range map[string]string{
		"mode": g.Mode, "listen": g.Listen, "public_url": g.PublicURL, "data_dir": g.DataDir, "log.level": g.LogLevel,
	} {
		if value != "" {
			flags[key] = value
		}
	}
	return config.Sources{File: g.Config, Environ: environ, Flags: flags}, nil
}

type versionCmd struct{}

func (versionCmd) Run(w *world) error {
	w.printf("caac-hub %s\n", w.Version)
	return nil
}

type checkConfigCmd struct{}

func (checkConfigCmd) Help() string {
	return "Examples:\n  caac-hub check-config\n  caac-hub check-config --config hub.yaml --mode production"
}

func (checkConfigCmd) Run(w *world) error {
	l, err := config.Load(w.sources)
	if l != nil {
		w.printf("%s", l.Print())
	}
	return err
}
