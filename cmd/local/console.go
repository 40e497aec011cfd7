package main

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"wechat-draftbox/pkg/api"
)

//go:embed console
var console embed.FS

// contentPolicy lets the console's pages load nothing but what is served here, and lets no other page frame them.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// serveConsole adds the console at / (unless the API has that path), a page to try the API, and what both need. It is
// for this machine only: nothing of it is deployed.
func (l *local) serveConsole(mux *http.ServeMux) {
	files, err := fs.Sub(console, "console")
	if err != nil {
		panic(err) // the name is that of the folder above
	}
	page := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", contentPolicy)
			http.ServeFileFS(w, r, files, name)
		}
	}
	mux.HandleFunc("GET /{$}", page("console.html"))
	mux.HandleFunc("GET /_local/api", page("api.html"))
	mux.Handle("GET /_local/console/", http.StripPrefix("/_local/console/", http.FileServerFS(files)))
	mux.HandleFunc("GET /_local/stream", l.serveStream)
	mux.HandleFunc("POST /_local/tokens/expire", l.serveEndTokens)
	mux.HandleFunc("GET /_local/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		fmt.Fprint(w, api.OpenAPI())
	})
	mux.HandleFunc("GET /_local/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		var document any
		if err := yaml.Unmarshal([]byte(api.OpenAPI()), &document); err != nil {
			say(w, http.StatusInternalServerError, err.Error())
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(document)
	})
	if l.world.wechat != nil {
		mux.Handle("/_sim/", l.world.wechat.Admin())
	}
}

// isLocal tells the paths that only this command has.
func isLocal(path string) bool {
	return path == "/" || strings.HasPrefix(path, "/_local/") || strings.HasPrefix(path, "/_sim/")
}

// guard keeps the pages of other sites away, which the person's own browser would let in: what changes something has to
// come from a page that was served here, or from no page at all, and a name that leads here by another's doing (DNS
// rebinding) is no name of this server. WeChat's pushes are signed, and may come through a tunnel.
func guard(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusForbidden, "this page is not one of the local run, and may change nothing here")
	}))
	return protection.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(r.Host) && r.URL.Path != callbackPath {
			say(w, http.StatusMisdirectedRequest, "the local run is reached as localhost or 127.0.0.1 only")
			return
		}
		next.ServeHTTP(w, r)
	}))
}

func isLoopback(hostport string) bool {
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

// serveStream sends the state of the stand-ins as server-sent events: once, and then each time that it changed.
func (l *local) serveStream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	var last []byte
	for {
		now, err := json.Marshal(l.state(r.Context()))
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
		if !sleep(r.Context(), 500*time.Millisecond) {
			return
		}
	}
}

// serveEndTokens lets all tokens run out, as if nobody had looked after them for two hours: WeChat refuses them, and what
// is stored says so.
func (l *local) serveEndTokens(w http.ResponseWriter, r *http.Request) {
	if l.world.wechat == nil || l.world.aws == nil {
		say(w, http.StatusNotFound, "only the stand-ins' tokens can be ended")
		return
	}
	l.world.wechat.ExpireTokens()
	names := namesOf(l.bundle, l.options.getenv)
	tokens := l.state(r.Context()).Tokens
	for _, t := range tokens {
		record, _ := names.token(l.world.aws, t.AppID)
		record["expires_at"] = time.Now().UTC().Format(time.RFC3339)
		names.storeToken(l.world.aws, t.AppID, record)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "{\"ended\": %d}\n", len(tokens))
}

// state is what the console shows beside the answers of the API. No token is in it.
type state struct {
	Ready      bool              `json:"ready"`
	WeChat     place             `json:"wechat"`
	AWS        place             `json:"aws"`
	Tasks      []task            `json:"tasks"`
	Names      map[string]string `json:"names"` // of the accounts, by appid
	Drafts     []int64           `json:"drafts"`
	Faults     []fault           `json:"faults"`
	RefusedIP  string            `json:"refused_ip"`
	Tokens     []storedToken     `json:"tokens"`
	TicketFrom *time.Time        `json:"ticket_from"`
	Accounts   uint32            `json:"accounts_version"` // differs once something else is known of the accounts
	Events     []shownEvent      `json:"events"`           // newest first
}

// A place is where something runs.
type place struct {
	Simulated bool   `json:"simulated"`
	URL       string `json:"url"`
}

// A task can be run at once: what a schedule runs, and doctor.
type task struct {
	Function string `json:"function"`
	Task     string `json:"task"`
}

type fault struct {
	Path  string `json:"path"`
	Kind  string `json:"kind"`
	Times int    `json:"times"`
}

// A storedToken says what is known of a token, but for the token.
type storedToken struct {
	AppID     string    `json:"appid"` // empty: the component's
	Kind      string    `json:"kind"`  // component, authorizer or own
	StoredAt  time.Time `json:"stored_at,omitzero"`
	ExpiresAt string    `json:"expires_at"`
}

type shownEvent struct {
	ID     string          `json:"id"`
	Time   time.Time       `json:"time"`
	Type   string          `json:"type"`
	Detail json.RawMessage `json:"detail"`
}

// shownEvents is how many events the console shows.
const shownEvents = 50

func (l *local) state(ctx context.Context) state {
	w := l.world
	s := state{
		WeChat: place{w.wechat != nil, cmp.Or(w.wechatURL, l.options.getenv("WECHAT_API_BASE_URL"))},
		AWS:    place{w.aws != nil, cmp.Or(w.awsURL, l.options.getenv("AWS_ENDPOINT_URL"))},
		Tasks:  []task{}, Names: map[string]string{}, Drafts: []int64{}, Tokens: []storedToken{}, Events: []shownEvent{},
	}
	for _, scheduled := range l.bundle.Schedules {
		one := task{Function: scheduled.Function}
		if json.Unmarshal([]byte(scheduled.Input), &one) == nil && one.Task != "" {
			s.Tasks = append(s.Tasks, one)
		}
	}
	if l.fleet["tokens"] != nil {
		s.Tasks = append(s.Tasks, task{"tokens", "doctor"})
	}
	select {
	case <-l.ready:
		s.Ready = true
	default:
	}
	if w.wechat != nil {
		w.simulated(ctx, &s)
	}
	if w.aws != nil {
		w.stored(namesOf(l.bundle, l.options.getenv), &s)
	}
	return s
}

// simulated adds what the simulated WeChat tells of itself.
func (w *world) simulated(ctx context.Context, s *state) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.wechatURL+"/_sim/state", nil)
	if err != nil {
		return
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return // it is on its way down
	}
	defer answer.Body.Close()
	var told struct {
		Drafts []struct {
			ID int64 `json:"draft_id"`
		} `json:"drafts"`
		Accounts []struct {
			AppID string `json:"appid"`
			Name  string `json:"name"`
		} `json:"accounts"`
		Faults    []fault `json:"faults"`
		RefusedIP string  `json:"refused_ip"`
	}
	if json.NewDecoder(answer.Body).Decode(&told) != nil {
		return
	}
	for _, d := range told.Drafts {
		s.Drafts = append(s.Drafts, d.ID)
	}
	for _, a := range told.Accounts {
		s.Names[a.AppID] = a.Name
	}
	s.Faults, s.RefusedIP = told.Faults, told.RefusedIP
}

// stored adds what stands in the stand-in for AWS.
func (w *world) stored(n names, s *state) {
	for _, appID := range append([]string{""}, slices.Sorted(maps.Keys(s.Names))...) {
		record, at := n.token(w.aws, appID)
		if access, _ := record["access_token"].(string); access == "" {
			continue
		}
		kind := "authorizer"
		switch {
		case appID == "":
			kind = "component"
		case record["appsecret"] != nil:
			kind = "own"
		}
		expires, _ := record["expires_at"].(string)
		s.Tokens = append(s.Tokens, storedToken{appID, kind, at, expires})
	}
	var ticket struct {
		CreateTime int64 `json:"create_time"`
	}
	value, _, _ := w.aws.Parameter(n.parameters + "/component-verify-ticket")
	if json.Unmarshal([]byte(value), &ticket) == nil && ticket.CreateTime > 0 {
		s.TicketFrom = new(time.Unix(ticket.CreateTime, 0).UTC())
	}
	s.Accounts = w.accountsVersion(n)
	events := w.aws.Events()
	for _, e := range slices.Backward(events[max(0, len(events)-shownEvents):]) {
		s.Events = append(s.Events, shownEvent{e.ID, e.Time.UTC(), e.DetailType, e.Detail})
	}
}

// accountsVersion is a checksum of what the state table says of the accounts.
func (w *world) accountsVersion(n names) uint32 {
	sum := fnv.New32()
	if n.states != "" {
		for _, item := range w.aws.Items(n.states) {
			if item["pk"] == "account" {
				fmt.Fprint(sum, item)
			}
		}
	}
	return sum.Sum32()
}
