// Command local runs the bundle on one machine, with nothing but Go.
//
//	go run ./cmd/local [flags]
//
// It builds the functions for this machine, starts a simulated WeChat and a
// stand-in for AWS, and serves the API of the template on 127.0.0.1:3000 (PORT
// changes that; the stand-ins have the two ports after it). Each request passes
// through the event that API Gateway makes of it, into the function's own
// process. The template's schedules, queues and rules work too. A variable of
// the shell that the template declares overrides the template's value.
//
// A stand-in makes way for something else: WECHAT_API_BASE_URL names a WeChat, AWS_ENDPOINT_URL an emulator of AWS on this
// machine. The real AWS takes the flag -aws and WECHAT_API_BASE_URL; schedules are then off unless -schedules turns them on.
// Profiles and credentials of the shell have no effect without -aws. Only the functions store anything in the real AWS.
//
//	go run ./cmd/local standins [flags]
//
// serves the stand-ins alone, for "sam local": see its flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"path"
	"strings"
	"syscall"
	"time"

	"wechat-draftbox/cmd/internal/console"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout)
	if err != nil && ctx.Err() == nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args, environ []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "standins" {
		return serveStandins(ctx, args[1:], environ, out)
	}
	o, err := readFlags(args, environ, out)
	if err != nil {
		return err
	}
	l, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	l.printServices()
	l.runBackground(ctx)
	<-ctx.Done()
	return nil
}

// options come from the command line and the shell.
type options struct {
	template     string
	parameters   map[string]string // of the template
	port         string
	speed        float64
	realAWS      bool
	schedules    bool          // with the real AWS too
	basePath     string        // the API's base path, "/box"
	readyTimeout time.Duration // of warmUp
	quiet        bool
	metrics      bool
	log          string // a file's name
	binaries     string // a folder's name
	environ      []string
	out          io.Writer
}

func (o options) getenv(name string) string {
	for _, pair := range o.environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

func readFlags(args, environ []string, out io.Writer) (options, error) {
	o := options{parameters: map[string]string{}, environ: environ, out: out, readyTimeout: time.Minute}
	flags := newFlags("local")
	o.templateFlags(flags)
	flags.Float64Var(&o.speed, "speed", 1, "run schedules and ticket pushes this many `times` as fast")
	flags.BoolVar(&o.realAWS, "aws", false, "use the AWS account that the SDK finds, not the stand-in; needs WECHAT_API_BASE_URL, and runs no schedules")
	flags.BoolVar(&o.schedules, "schedules", false, "run the schedules with -aws too")
	flags.StringVar(&o.basePath, "base-path", "", "serve the API below this `path`, as an own domain's API mapping does: /box")
	flags.BoolVar(&o.quiet, "quiet", false, "keep requests and the functions' logs out of the terminal")
	flags.BoolVar(&o.metrics, "metrics", false, "show the functions' metrics beside their logs")
	flags.StringVar(&o.log, "log", "", "write requests and the functions' logs to this `file`")
	flags.StringVar(&o.binaries, "binaries", "", "keep the built functions in this `folder`, for a faster start the next time")
	if err := parse(flags, args, out); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is no command; there is standins", flags.Arg(0))
	}
	if !(o.speed > 0) {
		return o, errors.New("-speed must be above 0")
	}
	o.port = "3000"
	if port := o.getenv("PORT"); port != "" {
		o.port = port
	}
	return o, o.check()
}

// check rejects options that can't be combined.
func (o options) check() error {
	if o.basePath != "" && (!strings.HasPrefix(o.basePath, "/") || path.Clean(o.basePath) != o.basePath || o.basePath == "/" || isLocal(o.basePath+"/")) {
		return fmt.Errorf("-base-path is %q, it must be a path like /box", o.basePath)
	}
	if o.realAWS && o.getenv("WECHAT_API_BASE_URL") == "" {
		return errors.New("-aws needs WECHAT_API_BASE_URL: a simulated WeChat's tokens and drafts are nothing for a real AWS")
	}
	if o.emulator() {
		u, err := url.Parse(o.getenv("AWS_ENDPOINT_URL"))
		if err != nil || !console.IsLoopback(u.Host) {
			return errors.New("AWS_ENDPOINT_URL names another machine, which needs -aws and WECHAT_API_BASE_URL too; without it the stand-in is used")
		}
	}
	return nil
}

// emulator reports whether an AWS emulator on this machine is used.
func (o options) emulator() bool { return !o.realAWS && o.getenv("AWS_ENDPOINT_URL") != "" }

// simulatesAWS reports whether the stand-in for AWS is used.
func (o options) simulatesAWS() bool { return !o.realAWS && !o.emulator() }

func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is one line, printed by main
	return flags
}

// parse reads the arguments; -h prints the usage.
func parse(flags *flag.FlagSet, args []string, out io.Writer) error {
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(out, "flags of %s:\n", flags.Name())
		flags.SetOutput(out)
		flags.PrintDefaults()
	}
	return err
}

func (o *options) templateFlags(flags *flag.FlagSet) {
	flags.StringVar(&o.template, "template", "template.yaml", "the SAM template, a `file` beside the functions")
	flags.Func("parameter", "a parameter of the template, `Name=value`; may be repeated", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("it must be Name=value")
		}
		o.parameters[name] = value
		return nil
	})
}
