package console

import (
	"encoding/json"
	"time"
)

// A State is what the console shows beside the answers of the API. No token is in it.
type State struct {
	Ready      bool              `json:"ready"`
	Stack      string            `json:"stack,omitempty"` // deployed; empty: the local run
	WeChat     Place             `json:"wechat"`
	AWS        Place             `json:"aws"`
	Tasks      []Task            `json:"tasks"`
	Names      map[string]string `json:"names"` // of the accounts, by appid
	Drafts     []int64           `json:"drafts"`
	Faults     []Fault           `json:"faults"`
	RefusedIP  string            `json:"refused_ip"`
	Tokens     []StoredToken     `json:"tokens"`
	TicketFrom *time.Time        `json:"ticket_from"`
	Accounts   uint32            `json:"accounts_version"` // differs once something else is known of the accounts
	Events     []ShownEvent      `json:"events"`           // newest first
}

// NewState is a state with nothing in it: the page finds a list where it expects one.
func NewState() State {
	return State{Tasks: []Task{}, Names: map[string]string{}, Drafts: []int64{}, Tokens: []StoredToken{}, Events: []ShownEvent{}}
}

// A Place is where something runs.
type Place struct {
	Simulated bool   `json:"simulated"`
	URL       string `json:"url"`
}

// A Task can be run at once: what a schedule runs, and doctor.
type Task struct {
	Function string `json:"function"`
	Task     string `json:"task"`
}

// A Fault is one that the simulated WeChat was told to have.
type Fault struct {
	Path  string `json:"path"`
	Kind  string `json:"kind"`
	Times int    `json:"times"`
}

// A StoredToken says what is known of a token, but for the token.
type StoredToken struct {
	AppID     string    `json:"appid"` // empty: the component's
	Kind      string    `json:"kind"`  // component, authorizer or own
	StoredAt  time.Time `json:"stored_at,omitzero"`
	ExpiresAt string    `json:"expires_at"`
}

// A ShownEvent is one that the bundle published.
type ShownEvent struct {
	ID     string          `json:"id"`
	Time   time.Time       `json:"time"`
	Type   string          `json:"type"`
	Detail json.RawMessage `json:"detail"`
}
