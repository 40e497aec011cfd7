// Package console serves the page on which people look at the bundle and act on it: on the local run, and on a deployed
// stack through the operator's own AWS credentials. Nothing of it is deployed.
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

// ContentPolicy lets the pages load nothing but what is served here, and lets no other page frame them.
const ContentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// WriteHeader is a header of each request that the pages send. Another site's page can't send it: a browser asks first
// whether it may.
const WriteHeader = "X-Draftbox-Console"

// maxEvent is how large a task's event may be, in bytes.
const maxEvent = 6 << 20

// A Backend is what the page looks at and acts on. The requests for the API that the page sends are the caller's to
// serve: below the same address, at the paths that they have in the API.
type Backend interface {
	// State is what the page shows beside the answers of the API.
	State(ctx context.Context) State
	// Task hands an event to a function, {"task": "doctor"}.
	Task(ctx context.Context, function string, event []byte) (Result, error)
}

// A Result is what a function returned for an event.
type Result struct {
	Payload []byte // JSON
	Failed  bool   // the payload is the function's error
}

// ErrNoFunction is returned by a Backend that has no function of the name.
var ErrNoFunction = errors.New("there is no function of this name")

// Handle adds the console at /, a page to try the API, and what both need below /_local/.
func Handle(mux *http.ServeMux, b Backend) {
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // the name is that of the folder above
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

// serveStream sends the state as server-sent events: once, and then each time that it changed.
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

// serveTask hands the body to a function as its event and answers with what it returned; a function that failed is a 500
// with its error.
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

// Guard keeps the pages of other sites away, which the person's own browser would let in: what changes something has to
// come from a page that was served here, or from no page at all, and a name that leads here by another's doing (DNS
// rebinding) is no name of this server. A request that isPublic, such as one of WeChat's pushes through a tunnel, may
// come by any name.
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

// IsLoopback tells whether a host, with or without a port, is this machine by name or address.
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
