package console

import (
	"encoding/json"
	"time"
)

// A State is what the console shows beside the API's responses. It holds no token.
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
	Accounts   uint32            `json:"accounts_version"` // changes whenever the stored accounts do
	Events     []ShownEvent      `json:"events"`           // newest first
}

// NewState returns an empty state, with empty lists where the page expects lists.
func NewState() State {
	return State{Tasks: []Task{}, Names: map[string]string{}, Drafts: []int64{}, Tokens: []StoredToken{}, Events: []ShownEvent{}}
}

// A Place is where something runs.
type Place struct {
	Simulated bool   `json:"simulated"`
	URL       string `json:"url"`
}

// A Task can be run on demand: what a schedule runs, and doctor.
type Task struct {
	Function string `json:"function"`
	Task     string `json:"task"`
}

// A Fault is injected into the simulated WeChat.
type Fault struct {
	Path  string `json:"path"`
	Kind  string `json:"kind"`
	Times int    `json:"times"`
}

// A StoredToken describes a stored token without its value.
type StoredToken struct {
	AppID     string    `json:"appid"` // empty: the component's
	Kind      string    `json:"kind"`  // component, authorizer or own
	StoredAt  time.Time `json:"stored_at,omitzero"`
	ExpiresAt string    `json:"expires_at"`
}

// A ShownEvent is an event that the bundle published.
type ShownEvent struct {
	ID     string          `json:"id"`
	Time   time.Time       `json:"time"`
	Type   string          `json:"type"`
	Detail json.RawMessage `json:"detail"`
}
