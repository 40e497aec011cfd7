package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// serveStandins serves the simulated WeChat and the stand-in for AWS alone, with tokens, and prints the variables that
// point "sam local" to them.
func serveStandins(ctx context.Context, args, environ []string, out io.Writer) error {
	o := options{parameters: map[string]string{}, environ: environ, out: out}
	flags := newFlags("local standins")
	o.templateFlags(flags)
	wechat := flags.String("wechat", "127.0.0.1:3001", "the `address` of the simulated WeChat")
	aws := flags.String("aws", "127.0.0.1:3002", "the `address` of the stand-in for AWS")
	host := flags.String("host", "", "the `name` by which the functions reach this machine, as host.docker.internal")
	file := flags.String("env-vars", "", "write the variables to this `file`, which is there once all is served")
	if err := parse(flags, args, out); err != nil {
		return err
	}

	w := &world{}
	defer w.close()
	listener, err := listen(*wechat)
	if err != nil {
		return err
	}
	w.serveWeChat(listener, *host)
	if listener, err = listen(*aws); err != nil {
		return err
	}
	w.serveAWS(listener, *host)

	b, err := readTemplate(o.template, o.parameters, w.queueURL)
	if err != nil {
		return err
	}
	if err := w.makeQueues(ctx, b.Queues); err != nil {
		return err
	}
	names := namesOf(b, func(string) string { return "" })
	w.makeTables(b.Tables, names)
	w.configure(names)
	w.issueTokens(names)

	variables, err := json.MarshalIndent(map[string]any{"Parameters": w.samVariables(b, names)}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the variables: %w", err)
	}
	if *file != "" {
		if err := os.WriteFile(*file, append(variables, '\n'), 0o644); err != nil {
			return fmt.Errorf("write the variables: %w", err)
		}
	}
	fmt.Fprintf(out, "%s\n", variables)
	<-ctx.Done()
	return nil
}

// samVariables are for --env-vars of "sam local", which resolves no queue URL or table name and only overrides
// variables that the template declares.
func (w *world) samVariables(b *bundle, n names) map[string]string {
	all := map[string]string{
		"STATE_TABLE":         n.states,
		"TOKEN_TABLE":         n.tokens,
		"WECHAT_API_BASE_URL": w.wechatURL,
		"AWS_ENDPOINT_URL":    w.awsURL,
		"OPENABLE_ACCOUNTS":   "*",
	}
	for _, f := range b.Functions {
		for name, value := range f.Environment {
			if strings.HasPrefix(value, w.awsURL+"/") {
				all[name] = value
			}
		}
	}
	return all
}
