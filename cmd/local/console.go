package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"wechat-draftbox/cmd/internal/console"
)

// serveConsole adds the console at /, unless the API has that path, and what only the local run offers.
func (l *local) serveConsole(mux *http.ServeMux) {
	console.Handle(mux, l)
	mux.HandleFunc("POST /_local/tokens/expire", l.serveEndTokens)
	if l.world.wechat != nil {
		mux.Handle("/_sim/", l.world.wechat.Admin())
	}
}

// isLocal reports whether only this command serves the path.
func isLocal(path string) bool {
	return path == "/" || strings.HasPrefix(path, "/_local/") || strings.HasPrefix(path, "/_sim/")
}

// guard rejects requests from other sites' pages. WeChat's pushes are signed and may come through a tunnel.
func guard(next http.Handler, callback string) http.Handler {
	return console.Guard(next, func(r *http.Request) bool { return r.URL.Path == callback })
}

// Task implements [console.Backend]. It waits for the first token.
func (l *local) Task(ctx context.Context, function string, event []byte) (console.Result, error) {
	if l.fleet[function] == nil {
		return console.Result{}, console.ErrNoFunction
	}
	l.awaitReady(ctx)
	result, err := l.fleet.invoke(ctx, function, event)
	return console.Result{Payload: result.Payload, Failed: result.Error}, err
}

// serveEndTokens expires all tokens, at WeChat and in what is stored, as if none had been refreshed for two hours.
func (l *local) serveEndTokens(w http.ResponseWriter, r *http.Request) {
	if l.world.wechat == nil || l.world.aws == nil {
		http.Error(w, "only the stand-ins' tokens can be ended", http.StatusNotFound)
		return
	}
	l.world.wechat.ExpireTokens()
	names := namesOf(l.bundle, l.options.getenv)
	tokens := l.State(r.Context()).Tokens
	for _, t := range tokens {
		record, _ := names.token(l.world.aws, t.AppID)
		record["expires_at"] = time.Now().UTC().Format(time.RFC3339)
		names.storeToken(l.world.aws, t.AppID, record)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "{\"ended\": %d}\n", len(tokens))
}

// shownEvents is how many events the console shows.
const shownEvents = 50

// State implements [console.Backend].
func (l *local) State(ctx context.Context) console.State {
	w := l.world
	s := console.NewState()
	s.WeChat = console.Place{Simulated: w.wechat != nil, URL: cmp.Or(w.wechatURL, l.options.getenv("WECHAT_API_BASE_URL"))}
	s.AWS = console.Place{Simulated: w.aws != nil, URL: cmp.Or(w.awsURL, l.options.getenv("AWS_ENDPOINT_URL"))}
	for _, scheduled := range l.bundle.Schedules {
		one := console.Task{Function: scheduled.Function}
		if json.Unmarshal([]byte(scheduled.Input), &one) == nil && one.Task != "" {
			s.Tasks = append(s.Tasks, one)
		}
	}
	if l.fleet["tokens"] != nil {
		s.Tasks = append(s.Tasks, console.Task{Function: "tokens", Task: "doctor"})
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

// simulated adds the simulated WeChat's state.
func (w *world) simulated(ctx context.Context, s *console.State) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.wechatURL+"/_sim/state", nil)
	if err != nil {
		return
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return // it is shutting down
	}
	defer answer.Body.Close()
	var state struct {
		Drafts []struct {
			ID int64 `json:"draft_id"`
		} `json:"drafts"`
		Accounts []struct {
			AppID string `json:"appid"`
			Name  string `json:"name"`
		} `json:"accounts"`
		Faults    []console.Fault `json:"faults"`
		RefusedIP string          `json:"refused_ip"`
	}
	if json.NewDecoder(answer.Body).Decode(&state) != nil {
		return
	}
	for _, d := range state.Drafts {
		s.Drafts = append(s.Drafts, d.ID)
	}
	for _, a := range state.Accounts {
		s.Names[a.AppID] = a.Name
	}
	s.Faults, s.RefusedIP = state.Faults, state.RefusedIP
}

// stored adds what is stored in the stand-in for AWS.
func (w *world) stored(n names, s *console.State) {
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
		s.Tokens = append(s.Tokens, console.StoredToken{AppID: appID, Kind: kind, StoredAt: at, ExpiresAt: expires})
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
		s.Events = append(s.Events, console.ShownEvent{ID: e.ID, Time: e.Time.UTC(), Type: e.DetailType, Detail: e.Detail})
	}
}

// accountsVersion is a checksum of the accounts in the state table.
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
