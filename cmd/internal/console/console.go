// Package console serves the web page for looking at the bundle and operating it: on the local run, and on a deployed
// stack with the operator's own AWS credentials. None of it is deployed.
package console

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"wechat-draftbox/pkg/api"
)

//go:embed assets
var assets embed.FS

// ContentPolicy restricts the pages to resources served here and forbids framing.
const ContentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// WriteHeader is sent with each of the pages' requests. Another site's page can't send it without a CORS preflight.
const WriteHeader = "X-Draftbox-Console"

// maxEvent is the maximum size of a task's event, in bytes.
const maxEvent = 6 << 20

// A Backend provides what the page shows and does. The caller also serves the API for the page, at its usual paths on
// the same address.
type Backend interface {
	// State returns what the page shows beside the API's responses.
	State(ctx context.Context) State
	// Task invokes a function with an event such as {"task": "doctor"}.
	Task(ctx context.Context, function string, event []byte) (Result, error)
}

// A Result is what a function returned for an event.
type Result struct {
	Payload []byte // JSON
	Failed  bool   // the payload is the function's error
}

// ErrNoFunction is returned by a Backend for an unknown function.
var ErrNoFunction = errors.New("there is no function of this name")

// Handle adds the console at /, a page to try the API, and what both need below /_local/.
func Handle(mux *http.ServeMux, b Backend) {
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // assets is embedded above
	}
	mux.HandleFunc("GET /{$}", page(files, "console.html"))
	mux.HandleFunc("GET /_local/api", page(files, "api.html"))
	mux.Handle("GET /_local/console/", http.StripPrefix("/_local/console/", http.FileServerFS(files)))
	mux.HandleFunc("GET /_local/stream", func(w http.ResponseWriter, r *http.Request) { serveStream(w, r, b) })
	mux.HandleFunc("POST /_local/invoke/{function}", func(w http.ResponseWriter, r *http.Request) { serveTask(w, r, b) })
	mux.HandleFunc("POST /_local/charts/{chart}", serveChart)
	mux.HandleFunc("GET /_local/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		fmt.Fprint(w, api.OpenAPI())
	})
	mux.HandleFunc("GET /_local/openapi.json", serveDocument)
}

func page(files fs.FS, name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", ContentPolicy)
		http.ServeFileFS(w, r, files, name)
	}
}

func serveDocument(w http.ResponseWriter, _ *http.Request) {
	var document any
	if err := yaml.Unmarshal([]byte(api.OpenAPI()), &document); err != nil {
		say(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(document)
}

// serveStream sends the state as server-sent events: at first, and whenever it changes.
func serveStream(w http.ResponseWriter, r *http.Request, b Backend) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	var last []byte
	for {
		now, err := json.Marshal(b.State(r.Context()))
		if err != nil {
			return
		}
		if !bytes.Equal(now, last) {
			fmt.Fprintf(w, "data: %s\n\n", now)
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			last = now
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
}

// serveTask invokes a function with the body and responds with its result, or 500 and its error.
func serveTask(w http.ResponseWriter, r *http.Request, b Backend) {
	event, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEvent))
	if err != nil || !json.Valid(event) {
		say(w, http.StatusBadRequest, "the body must be the event, in JSON")
		return
	}
	result, err := b.Task(r.Context(), r.PathValue("function"), event)
	switch {
	case errors.Is(err, ErrNoFunction):
		say(w, http.StatusNotFound, err.Error())
		return
	case err != nil:
		say(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if result.Failed {
		w.WriteHeader(http.StatusInternalServerError)
	}
	w.Write(append(result.Payload, '\n'))
}

// Guard rejects cross-site requests from a browser: a write must come from a page served here or from no page, and the
// host must be a name of this server (DNS rebinding). Requests that isPublic accepts, such as WeChat's pushes through
// a tunnel, may use any host.
func Guard(next http.Handler, isPublic func(*http.Request) bool) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusForbidden, "this page was not served here, and may change nothing here")
	}))
	return protection.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !IsLoopback(r.Host) && !isPublic(r) {
			say(w, http.StatusMisdirectedRequest, "this server is reached as localhost or 127.0.0.1 only")
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// IsLoopback reports whether a host, with or without a port, is this machine.
func IsLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

func say(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": message})
}
