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
// A stand-in makes way for the real thing: WECHAT_API_BASE_URL names a WeChat,
// AWS_ENDPOINT_URL, AWS_PROFILE or the flag -aws an AWS. Nothing is stored there
// but by the functions.
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
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
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
	l.introduce()
	l.work(ctx)
	<-ctx.Done()
	return nil
}

// options are what the command line and the shell say.
type options struct {
	template   string
	parameters map[string]string // of the template
	port       string
	speed      float64
	realAWS    bool
	patience   time.Duration // with getting ready
	quiet      bool
	metrics    bool
	log        string // a file's name
	binaries   string // a folder's name
	environ    []string
	out        io.Writer
}

// getenv is the shell's variable.
func (o options) getenv(name string) string {
	for _, pair := range o.environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

func readFlags(args, environ []string, out io.Writer) (options, error) {
	o := options{parameters: map[string]string{}, environ: environ, out: out, patience: time.Minute}
	flags := newFlags("local")
	o.templateFlags(flags)
	flags.Float64Var(&o.speed, "speed", 1, "run schedules and ticket pushes this many `times` as fast")
	flags.BoolVar(&o.realAWS, "aws", false, "use the AWS account that the SDK finds, not the stand-in")
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
	o.realAWS = o.realAWS || o.getenv("AWS_ENDPOINT_URL") != "" || o.getenv("AWS_PROFILE") != ""
	return o, nil
}

func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is one line, printed by main
	return flags
}

// parse reads the arguments; -h prints what there is.
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
