package awstest

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxEntries = 10
	// maxEventBytes limits all entries of a call together, and so each. AWS raised it to 1 MiB in 2026; the stand-in
	// uses the older 256 KiB, which is safe everywhere.
	maxEventBytes = 256 << 10
)

// Event is an event that PutEvents accepted.
type Event struct {
	ID         string
	Bus        string // by name; "default" where the caller named none
	Source     string
	DetailType string
	Resources  []string
	Detail     json.RawMessage
	Time       time.Time
}

// bus is all event buses of an account. As in AWS, a bus that was never created accepts events too.
type bus struct {
	now func() time.Time

	mu        sync.Mutex
	events    []Event
	listeners []func(Event)
}

func (b *bus) operations() map[string]operation {
	return map[string]operation{"PutEvents": onContext(b.put)}
}

// Events returns the accepted events in order.
func (s *Server) Events() []Event {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return slices.Clone(s.bus.events)
}

// OnEvent calls f with each event accepted from now on, before the PutEvents call returns. f may use the [Server];
// calls may overlap.
func (s *Server) OnEvent(f func(Event)) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.bus.listeners = append(s.bus.listeners, f)
}

type putEvents struct {
	Entries []eventEntry
}

type eventEntry struct {
	Detail       *string
	DetailType   string
	EventBusName string
	Resources    []string
	Source       string
	Time         *epoch
	TraceHeader  string
}

func (r putEvents) resource() string {
	if len(r.Entries) == 0 {
		return ""
	}
	return busName(r.Entries[0].EventBusName)
}

// busName accepts a name or an ARN.
func busName(bus string) string {
	if bus == "" {
		return "default"
	}
	return bus[strings.LastIndexByte(bus, '/')+1:]
}

// size is as EventBridge counts it.
func (e eventEntry) size() int {
	n := len(e.Source) + len(e.DetailType)
	if e.Time != nil {
		n += 14
	}
	if e.Detail != nil {
		n += len(*e.Detail)
	}
	for _, r := range e.Resources {
		n += len(r)
	}
	return n
}

// fault validates the entry; the code is empty if it is valid.
func (e eventEntry) fault() (code, message string) {
	missing := func(field string) (string, string) {
		return "InvalidArgument", "Parameter " + field + " is not valid. Reason: " + field + " is a required argument."
	}
	switch {
	case e.Source == "":
		return missing("Source")
	case e.DetailType == "":
		return missing("DetailType")
	case e.Detail == nil || *e.Detail == "":
		return missing("Detail")
	case !isObject(*e.Detail):
		return "MalformedDetail", "Detail is malformed."
	}
	return "", ""
}

func isObject(s string) bool {
	return json.Valid([]byte(s)) && bytes.HasPrefix(bytes.TrimLeft([]byte(s), " \t\r\n"), []byte("{"))
}

type eventResult struct {
	EventId      string `json:",omitempty"`
	ErrorCode    string `json:",omitempty"`
	ErrorMessage string `json:",omitempty"`
}

type eventResults struct {
	Entries          []eventResult
	FailedEntryCount int
}

func (b *bus) put(_ context.Context, r putEvents, faults entryFaults) (*eventResults, error) {
	if len(r.Entries) < 1 || len(r.Entries) > maxEntries {
		return nil, outOfRange("entries", "length between 1 and 10")
	}
	size := 0
	for _, e := range r.Entries {
		size += e.size()
	}
	if size > maxEventBytes {
		return nil, refuse("ValidationException", "Total size of the entries in the request is over the limit.")
	}
	results := &eventResults{Entries: make([]eventResult, 0, len(r.Entries))}
	var accepted []Event
	now := b.now()
	for i, e := range r.Entries {
		code, message := e.fault()
		if code == "" && faults.at(i) {
			code, message = faults.code, "failed on request"
		}
		if code != "" {
			results.Entries = append(results.Entries, eventResult{ErrorCode: code, ErrorMessage: message})
			results.FailedEntryCount++
			continue
		}
		event := Event{
			ID: newUUID(), Bus: busName(e.EventBusName), Source: e.Source, DetailType: e.DetailType,
			Resources: e.Resources, Detail: json.RawMessage(*e.Detail), Time: now,
		}
		if e.Time != nil {
			event.Time = e.Time.Time
		}
		accepted = append(accepted, event)
		results.Entries = append(results.Entries, eventResult{EventId: event.ID})
	}
	b.mu.Lock()
	b.events = append(b.events, accepted...)
	listeners := slices.Clone(b.listeners)
	b.mu.Unlock()
	for _, event := range accepted {
		for _, listen := range listeners {
			listen(event)
		}
	}
	return results, nil
}
