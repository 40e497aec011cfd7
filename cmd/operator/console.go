package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"wechat-draftbox/cmd/internal/console"
	"wechat-draftbox/pkg/standin/gateway"
)

// routes are the template's routes that the page may use: all but WeChat's callback.
func routes() []gateway.Route {
	var all []gateway.Route
	for function, keys := range map[string][]string{
		"drafts":    {"GET /drafts", "GET /drafts/{draft_id}", "GET /drafts/history"},
		"switch":    {"GET /accounts", "GET /accounts/{appid}/draft-switch", "POST /accounts/{appid}/draft-switch", "GET /accounts/{appid}/drafts"},
		"templates": {"POST /drafts/{draft_id}/template", "POST /drafts/latest/template", "GET /templates", "DELETE /templates/{template_id}"},
	} {
		for _, key := range keys {
			method, path, _ := strings.Cut(key, " ")
			route := gateway.NewRoute(function, method, path)
			route.Guarded = true
			all = append(all, route)
		}
	}
	return all
}

// tasks are the tasks that the page offers.
func tasks() []console.Task {
	return []console.Task{
		{Function: "drafts", Task: "watch-drafts"}, {Function: "switch", Task: "check-switches"},
		{Function: "tokens", Task: "refresh-tokens"}, {Function: "tokens", Task: "import-accounts"}, {Function: "tokens", Task: "doctor"},
		{Function: "notify", Task: "notify-test"},
	}
}

// A stack is a deployed stack, reached by lambda:Invoke with the operator's own credentials.
type stack struct {
	name   string
	region string
	lambda *lambda.Client
	out    io.Writer // for errors that the page can't show
}

// State implements [console.Backend].
func (s *stack) State(context.Context) console.State {
	state := console.NewState()
	state.Ready, state.Stack, state.Tasks = true, s.name, tasks()
	state.AWS.URL = s.region
	return state
}

// Task implements [console.Backend]. It only passes tasks on: requests go through the routes, which set the caller.
func (s *stack) Task(ctx context.Context, function string, event []byte) (console.Result, error) {
	var named struct {
		Task string `json:"task"`
	}
	if err := json.Unmarshal(event, &named); err != nil || named.Task == "" {
		return console.Result{}, errors.New(`the body must be a task, {"task": "doctor"}`)
	}
	switch function {
	case "drafts", "switch", "tokens", "notify":
	default:
		return console.Result{}, console.ErrNoFunction
	}
	got, err := s.call(ctx, function, event)
	if err != nil {
		return console.Result{}, err
	}
	return console.Result{Payload: got.Payload, Failed: got.FunctionError != nil}, nil
}

// answer invokes a function with a request.
func (s *stack) answer(ctx context.Context, function string, event []byte) ([]byte, error) {
	got, err := s.call(ctx, function, event)
	if err == nil && got.FunctionError != nil {
		err = fmt.Errorf("%s failed: %s", function, got.Payload)
	}
	if err != nil {
		fmt.Fprintln(s.out, err) // the page gets a bare 500, as from API Gateway
		return nil, err
	}
	return got.Payload, nil
}

func (s *stack) call(ctx context.Context, function string, event []byte) (*lambda.InvokeOutput, error) {
	name := s.name + "-" + function
	got, err := s.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(name), Payload: event})
	if err != nil {
		return nil, fmt.Errorf("invoke %s: %w", name, err)
	}
	return got, nil
}

// page serves the console below a secret path. host is this server's address, "127.0.0.1:4000".
func page(s *stack, caller gateway.Caller, key, host string) http.Handler {
	mux := http.NewServeMux()
	console.Handle(mux, s)
	api := gateway.New(routes(), s.answer)
	api.Caller = caller
	mux.Handle("/", api)
	below := http.StripPrefix("/"+key, mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, more := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
		if fault := refusal(r, host); fault != "" {
			http.Error(w, fault, http.StatusForbidden)
			return
		}
		if !more || subtle.ConstantTimeCompare([]byte(first), []byte(key)) == 0 {
			http.NotFound(w, r) // other users of this machine don't know the key
			return
		}
		for _, name := range []string{"Referer", "Origin", "Cookie", console.WriteHeader} {
			r.Header.Del(name) // one of them holds the key; no function needs the others
		}
		w.Header().Set("Referrer-Policy", "no-referrer")
		below.ServeHTTP(w, r)
	})
}

// refusal says why a request did not come from the page served here: it used another host name (DNS rebinding), came
// from another site, or is a write without the page's header.
func refusal(r *http.Request, host string) string {
	_, port, _ := net.SplitHostPort(host)
	isRead := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case r.Host != host && r.Host != "localhost:"+port:
		return "this server has another name"
	case r.Header.Get("Origin") != "" && r.Header.Get("Origin") != "http://"+r.Host, site == "cross-site", site == "same-site":
		return "this page was not served here"
	case !isRead && r.Header.Get(console.WriteHeader) == "":
		return "a write needs the header " + console.WriteHeader
	}
	return ""
}

// identify returns the owner of the AWS credentials.
func identify(ctx context.Context, client *sts.Client) (gateway.Caller, error) {
	who, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return gateway.Caller{}, fmt.Errorf("ask AWS whose credentials these are: %w", err)
	}
	return gateway.Caller{AccountID: aws.ToString(who.Account), UserARN: aws.ToString(who.Arn), UserID: aws.ToString(who.UserId)}, nil
}

// runConsole serves the console for a deployed stack until ctx ends.
func runConsole(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("console", flag.ContinueOnError)
	flags.SetOutput(out)
	name := flags.String("stack", "", "the deployed stack")
	port := flags.String("port", "0", "the port on this machine; 0: any that is free")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || *name == "" {
		return errUsage
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("load the AWS configuration: %w", err)
	}
	caller, err := identify(ctx, sts.NewFromConfig(cfg))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", *port))
	if err != nil {
		return fmt.Errorf("listen on this machine: %w", err)
	}
	s := &stack{name: *name, region: cfg.Region, lambda: lambda.NewFromConfig(cfg), out: out}
	key, host := rand.Text(), listener.Addr().String()
	fmt.Fprintf(out, "The console of %s, as %s:\n\n  http://%s/%s/\n\nWhoever has this address acts with your rights. Ctrl-C ends it.\n", *name, caller.UserARN, host, key)
	return serve(ctx, listener, page(s, caller, key, host))
}

// serve serves until ctx ends.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { server.Close() }) // the page's event stream never ends by itself
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the console: %w", err)
	}
	return nil
}
