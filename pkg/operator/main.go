// Command operator is for the people who run the bundle.
//
//	go run ./pkg/operator doctor [-stack NAME | -local URL]
//
// asks the doctor of a deployed stack, or of the local run, and prints what it found; it exits with 1 where something
// is not well.
//
//	go run ./pkg/operator secrets [-prefix PREFIX] [-key ARN] [-file FILE]
//
// stores the platform's secret. It asks for the values, or reads them from a file; it never takes them as arguments,
// which other users of the machine can see.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "operator:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: operator doctor [-stack NAME | -local URL] | operator secrets [-prefix PREFIX] [-key ARN] [-file FILE]")

func run(ctx context.Context, args []string, in *os.File, out io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(out)
	switch args[0] {
	case "doctor":
		stack := flags.String("stack", "", "the deployed stack; empty: the local run")
		local := flags.String("local", "http://127.0.0.1:3000", "the local run's address")
		if err := flags.Parse(args[1:]); err != nil {
			return errUsage
		}
		ask := localDoctor(*local)
		if *stack != "" {
			cfg, err := config.LoadDefaultConfig(ctx)
			if err != nil {
				return fmt.Errorf("load the AWS configuration: %w", err)
			}
			ask = deployedDoctor(lambda.NewFromConfig(cfg), *stack)
		}
		return doctor(ctx, ask, out)
	case "secrets":
		prefix := flags.String("prefix", "wechat/draftbox", "the stack's SecretPrefix")
		key := flags.String("key", "", "the stack's KmsKeyArn")
		file := flags.String("file", "", "a JSON file with the values")
		if err := flags.Parse(args[1:]); err != nil {
			return errUsage
		}
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return fmt.Errorf("load the AWS configuration: %w", err)
		}
		values := asked(prompt(in, out))
		if *file != "" {
			values = fromFile(*file)
		}
		return storePlatform(ctx, secretsmanager.NewFromConfig(cfg), *prefix+"/platform", *key, values, out)
	}
	return errUsage
}

// prompt asks a question; the answer isn't shown where in is a terminal.
func prompt(in *os.File, out io.Writer) func(question string) (string, error) {
	lines := bufio.NewReader(in)
	return func(question string) (string, error) {
		fmt.Fprintf(out, "%s: ", question)
		if term.IsTerminal(int(in.Fd())) {
			answer, err := term.ReadPassword(int(in.Fd()))
			fmt.Fprintln(out)
			return string(answer), err
		}
		answer, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return answer, err
	}
}
