package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/gateway"
)

// A local is the running bundle.
type local struct {
	options options
	bundle  *bundle
	missing []string // functions of the template that have no folder
	world   *world
	fleet   fleet
	url     string

	ready      chan struct{}  // closed once the lines to paste are printed
	background sync.WaitGroup // what runBackground started
	stop       []func()
	lock       sync.Mutex // of the output
	log        io.Writer  // of requests and functions
}

// start prepares everything and serves the API; runBackground does what no request triggers.
func start(ctx context.Context, o options) (*local, error) {
	l := &local{options: o, world: &world{}, ready: make(chan struct{}), log: o.out}
	if err := l.start(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *local) start(ctx context.Context) error {
	o := l.options
	if err := l.openLog(); err != nil {
		return err
	}
	api, err := l.listen()
	if err != nil {
		return err
	}
	if l.bundle, err = readTemplate(o.template, o.parameters, l.world.queueURL); err != nil {
		return err
	}
	l.leaveOutMissing()
	if len(l.bundle.Functions) == 0 {
		return fmt.Errorf("%s: none of its functions is here", o.template)
	}
	binaries, err := l.folder()
	if err != nil {
		return fmt.Errorf("make a folder for the binaries: %w", err)
	}
	fmt.Fprintln(o.out, "building the functions ...")
	if err := build(ctx, l.bundle.Functions, binaries); err != nil {
		return err
	}
	variables := l.variables()
	l.fleet, err = startFleet(ctx, l.bundle.Functions, binaries,
		func(f function) []string { return environment(f, o.getenv, variables) },
		func(name string) io.Writer {
			return &prefixed{name: name, metrics: o.metrics, to: l.log, lock: &l.lock}
		})
	if err != nil {
		return err
	}
	l.url = address(api, "") + o.basePath
	if err := l.provision(ctx); err != nil {
		return err
	}
	server := &http.Server{Handler: l.handler(), ReadHeaderTimeout: time.Minute}
	l.stop = append(l.stop, func() { server.Close() })
	go server.Serve(api)
	return nil
}

// openLog chooses where the logs of requests and functions go.
func (l *local) openLog() error {
	if l.options.quiet {
		l.log = io.Discard
	}
	if l.options.log == "" {
		return nil
	}
	file, err := os.Create(l.options.log)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	l.log = file
	l.stop = append(l.stop, func() { file.Close() })
	return nil
}

// folder is where the binaries go: the one that the options name, or a temporary one.
func (l *local) folder() (string, error) {
	if l.options.binaries != "" {
		return filepath.Abs(l.options.binaries) // build works in another folder
	}
	temporary, err := os.MkdirTemp("", "wechat-draftbox-")
	l.stop = append(l.stop, func() { os.RemoveAll(temporary) })
	return temporary, err
}

// listen opens the ports: the API's, and the next two for the stand-ins.
func (l *local) listen() (net.Listener, error) {
	port, err := strconv.Atoi(l.options.port)
	if err != nil || port < 0 || port > 65533 {
		return nil, fmt.Errorf("PORT is %q, it must be a number up to 65533", l.options.port)
	}
	next := func(n int) string {
		if port == 0 {
			return "127.0.0.1:0" // any free port, for tests
		}
		return fmt.Sprintf("127.0.0.1:%d", port+n)
	}
	api, err := listen(next(0))
	if err != nil {
		return nil, err
	}
	l.stop = append(l.stop, func() { api.Close() })
	if l.options.getenv("WECHAT_API_BASE_URL") == "" {
		listener, err := listen(next(1))
		if err != nil {
			return nil, err
		}
		l.world.serveWeChat(listener, "")
	}
	if l.options.simulatesAWS() {
		listener, err := listen(next(2))
		if err != nil {
			return nil, err
		}
		l.world.serveAWS(listener, "")
	}
	return api, nil
}

func listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use: stop what runs there, or set PORT to another port", address)
	} else if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return listener, nil
}

// leaveOutMissing removes functions without a folder from the bundle, with their triggers.
func (l *local) leaveOutMissing() {
	b := l.bundle
	b.Functions = slices.DeleteFunc(b.Functions, func(f function) bool {
		_, err := os.Stat(f.Folder)
		if err != nil {
			l.missing = append(l.missing, f.Name)
		}
		return err != nil
	})
	gone := func(name string) bool { return slices.Contains(l.missing, name) }
	b.Routes = slices.DeleteFunc(b.Routes, func(r gateway.Route) bool { return gone(r.Function) })
	b.Schedules = slices.DeleteFunc(b.Schedules, func(s schedule) bool { return gone(s.Function) })
	b.Sources = slices.DeleteFunc(b.Sources, func(s source) bool { return gone(s.Function) })
	b.Rules = slices.DeleteFunc(b.Rules, func(r rule) bool { return r.Function != "" && gone(r.Function) })
}

// variables are set for all functions, in addition to the template's.
func (l *local) variables() map[string]string {
	all := map[string]string{}
	for _, pair := range l.options.environ {
		if name, value, _ := strings.Cut(pair, "="); l.isUpstreamSetting(strings.ToUpper(name)) {
			all[name] = value
		}
	}
	if l.options.emulator() {
		maps.Copy(all, emulatorVariables(l.options.getenv))
	}
	maps.Copy(all, l.world.variables())
	if l.world.wechat != nil && l.options.getenv("OPENABLE_ACCOUNTS") == "" && l.opensNone() {
		all["OPENABLE_ACCOUNTS"] = "*" // nothing real can be opened here
	}
	return all
}

// opensNone reports whether the template allows no switch to be opened.
func (l *local) opensNone() bool {
	return !slices.ContainsFunc(l.bundle.Functions, func(f function) bool { return f.Environment["OPENABLE_ACCOUNTS"] != "" })
}

// isUpstreamSetting reports whether the real WeChat or AWS is reached by this variable: a proxy or certificate setting of
// the HTTP client, or a setting of the SDK.
func (l *local) isUpstreamSetting(name string) bool {
	switch name {
	case "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR":
		return l.world.wechat == nil || l.world.aws == nil
	case "HOME", "USERPROFILE": // where the SDK's profiles are
		return l.options.realAWS
	}
	return l.options.realAWS && strings.HasPrefix(name, "AWS_") && !strings.HasPrefix(name, "AWS_LAMBDA_")
}

// emulatorVariables returns the variables for an emulator on this machine. It drops a profile, whose services may be elsewhere.
func emulatorVariables(getenv func(string) string) map[string]string {
	all := map[string]string{
		"AWS_REGION":            cmp.Or(getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION"), region),
		"AWS_ACCESS_KEY_ID":     cmp.Or(getenv("AWS_ACCESS_KEY_ID"), "local"),
		"AWS_SECRET_ACCESS_KEY": cmp.Or(getenv("AWS_SECRET_ACCESS_KEY"), "local"),
		"AWS_SESSION_TOKEN":     getenv("AWS_SESSION_TOKEN"),
		"AWS_ENDPOINT_URL":      getenv("AWS_ENDPOINT_URL"),
	}
	return all
}

// provision creates what the stack and its operator would have created.
func (l *local) provision(ctx context.Context) error {
	if l.world.aws == nil {
		return nil
	}
	if err := l.world.makeQueues(ctx, l.bundle.Queues); err != nil {
		return err
	}
	names := namesOf(l.bundle, l.options.getenv)
	l.world.makeTables(l.bundle.Tables, names)
	if l.fleet["notify"] != nil {
		l.makeRobots()
		l.world.storeRobots(names, l.url)
	}
	if l.world.wechat == nil {
		return nil
	}
	l.world.configure(names)
	if !l.managesTokens() {
		l.world.issueTokens(names)
	}
	return nil
}

// managesTokens reports whether the bundle fetches its own tokens from the simulated WeChat.
func (l *local) managesTokens() bool {
	return l.world.wechat != nil && l.world.aws != nil && l.fleet["tokens"] != nil && l.serves(callbackRoute)
}

// serves reports whether there is a route with this key.
func (l *local) serves(key string) bool {
	return slices.ContainsFunc(l.bundle.Routes, func(r gateway.Route) bool { return r.Key() == key })
}

// caller signs the requests to routes with an authorizer.
var caller = gateway.Caller{
	AccountID: account, AccessKey: "AKIALOCAL", UserARN: "arn:aws:iam::" + account + ":user/local", UserID: "AIDALOCAL",
}

// handler serves the API, the console at /, and the paths of this command below /_local/ and /_sim/. With a base path
// all of these are below it; this command's paths are served without it too.
func (l *local) handler() http.Handler {
	mux := http.NewServeMux()
	l.serveConsole(mux)
	l.serveRobots(mux)
	below := http.StripPrefix(l.options.basePath, mux)
	api := gateway.New(l.bundle.Routes, l.fleet.answer)
	api.BasePath, api.Caller = l.options.basePath, caller
	serve := func(w http.ResponseWriter, r *http.Request) {
		path, isBelow := strings.CutPrefix(r.URL.Path, l.options.basePath)
		switch {
		case isBelow && isLocal(path) && !l.serves(r.Method+" "+path):
			below.ServeHTTP(w, r)
		case l.options.basePath != "" && isLocal(r.URL.Path):
			mux.ServeHTTP(w, r)
		default:
			l.serveAPI(w, r, api)
		}
	}
	return guard(http.HandlerFunc(serve), l.options.basePath+callbackPath)
}

// serveAPI serves and logs a request for the API.
func (l *local) serveAPI(w http.ResponseWriter, r *http.Request, api *gateway.Gateway) {
	began := time.Now()
	if r.URL.Path != l.options.basePath+callbackPath { // warmUp itself needs the pushes
		l.awaitReady(r.Context())
	}
	seen := &statusRecorder{ResponseWriter: w}
	api.ServeHTTP(seen, r)
	l.lock.Lock()
	defer l.lock.Unlock()
	fmt.Fprintf(l.log, "%-9s | %s %q %d %v\n", "api", r.Method, r.URL.Path, seen.status, time.Since(began).Round(time.Millisecond))
}

// awaitReady delays requests until there is a token, which would otherwise fail.
func (l *local) awaitReady(ctx context.Context) {
	select {
	case <-l.ready:
	case <-ctx.Done():
	}
}

// statusRecorder records the status of a response.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusRecorder) Write(b []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// runBackground starts rules, queues and schedules, which run until ctx ends.
func (l *local) runBackground(ctx context.Context) {
	if l.world.aws != nil {
		l.world.aws.OnEvent(func(e awstest.Event) { l.deliver(ctx, e) })
		for _, s := range l.bundle.Sources {
			l.background.Go(func() { l.poll(ctx, s) })
		}
	}
	l.background.Go(func() {
		err := l.warmUp(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.say("local", "not ready: %v", err)
		}
		l.printExamples(err == nil)
		close(l.ready)
		l.runSchedules(ctx, l.options.speed)
	})
}

// say prints one line to the terminal.
func (l *local) say(name, format string, args ...any) {
	l.lock.Lock()
	defer l.lock.Unlock()
	fmt.Fprintf(l.options.out, "%-9s | %s\n", name, fmt.Sprintf(format, args...))
}

// close stops everything. Before it, ctx has ended or nothing was started with it.
func (l *local) close() {
	l.fleet.close()
	l.background.Wait()
	for _, stop := range slices.Backward(l.stop) {
		stop()
	}
	l.world.close()
}
