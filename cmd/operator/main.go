// Command operator is for the people who run the bundle.
//
//	go run ./cmd/operator doctor [-stack NAME | -local URL]
//
// asks the doctor of a deployed stack, or of the local run, and prints what it found; it exits with 1 where something
// is not well.
//
//	go run ./cmd/operator notify-test [-stack NAME | -local URL]
//
// sends one message to each chat robot, and prints what became of it; it exits with 1 where one did not take it.
//
//	go run ./cmd/operator console -stack NAME [-port PORT]
//
// serves the console's page on this machine for a deployed stack, with the operator's own AWS credentials.
//
//	go run ./cmd/operator secrets [-prefix PREFIX] [-key ARN] [-file FILE]
//	go run ./cmd/operator secrets -notify -file FILE [-prefix PREFIX] [-key ARN]
//
// stores the platform's secret, or the one that lists the chat robots. It asks for the platform's values, or reads them
// from a file; it never takes them as arguments, which other users of the machine can see.
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

	"wechat-draftbox/pkg/robot"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "operator:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: operator doctor|notify-test [-stack NAME | -local URL] | operator console -stack NAME [-port PORT] | operator secrets [-prefix PREFIX] [-key ARN] [-file FILE] [-notify]")

func run(ctx context.Context, args []string, in *os.File, out io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	switch args[0] {
	case "doctor", "notify-test":
		return runTask(ctx, args[0], args[1:], out)
	case "console":
		return runConsole(ctx, args[1:], out)
	case "secrets":
		return runSecrets(ctx, args[1:], in, out)
	}
	return errUsage
}

// runTask invokes a task of a function and prints its result.
func runTask(ctx context.Context, name string, args []string, out io.Writer) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(out)
	stack := flags.String("stack", "", "the deployed stack; empty: the local run")
	local := flags.String("local", "http://127.0.0.1:3000", "the local run's address")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return errUsage
	}
	var client *lambda.Client
	if *stack != "" {
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return fmt.Errorf("load the AWS configuration: %w", err)
		}
		client = lambda.NewFromConfig(cfg)
	}
	switch {
	case name == "doctor" && client != nil:
		return doctor(ctx, deployedDoctor(client, *stack), out)
	case name == "doctor":
		return doctor(ctx, localDoctor(*local), out)
	case client != nil:
		return notifyTest(ctx, deployedTask(client, *stack+"-notify", notifyTask), out)
	}
	return notifyTest(ctx, localTask(*local, "notify", notifyTask), out)
}

func runSecrets(ctx context.Context, args []string, in *os.File, out io.Writer) error {
	flags := flag.NewFlagSet("secrets", flag.ContinueOnError)
	flags.SetOutput(out)
	prefix := flags.String("prefix", "wechat/draftbox", "the stack's SecretPrefix")
	key := flags.String("key", "", "the stack's KmsKeyArn")
	file := flags.String("file", "", "a JSON file with the values")
	robots := flags.Bool("notify", false, "store the chat robots in place of the platform; needs -file")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || *robots && *file == "" {
		return errUsage
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("load the AWS configuration: %w", err)
	}
	writer := secretWriter{secretsmanager.NewFromConfig(cfg), *key, out}
	if *robots {
		return storeRobots(ctx, writer, *prefix+"/"+robot.SecretName, *file)
	}
	values := askValues(prompt(in, out))
	if *file != "" {
		values = readValues(*file)
	}
	return storePlatform(ctx, writer, *prefix+"/platform", values)
}

// prompt asks a question. A terminal does not echo the answer.
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
