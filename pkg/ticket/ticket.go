// Package ticket keeps the newest component_verify_ticket, which WeChat pushes about every ten minutes, irregularly,
// repeatedly and out of order.
package ticket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/plainjson"
	"wechat-draftbox/pkg/secret"
)

// Ticket is a ticket and when WeChat made it.
type Ticket struct {
	Text       secret.Value
	CreateTime int64 // Unix seconds

	others map[string]json.RawMessage // keys of somebody else, which survive a rewrite
}

// Age is how old the ticket is. WeChat takes it for 12 hours.
func (t Ticket) Age(now time.Time) time.Duration { return now.Round(0).Sub(time.Unix(t.CreateTime, 0)) }

// ErrNone is the error where no ticket was ever stored.
var ErrNone = errors.New("no component_verify_ticket was pushed yet")

const name = "component-verify-ticket"

type stored struct {
	Ticket     string `json:"ticket"`
	CreateTime int64  `json:"create_time"`
}

// Newest is the parameter that holds the newest ticket.
type Newest struct{ parameters parameter.Store }

// In is the newest ticket that stands in store.
func In(store parameter.Store) Newest { return Newest{store.Secure()} }

// Load reads the newest ticket: [ErrNone] where there is none, else errors of package awserror.
func (n Newest) Load(ctx context.Context) (Ticket, error) {
	t, _, err := n.load(ctx)
	return t, err
}

func (n Newest) load(ctx context.Context) (t Ticket, version int64, err error) {
	v, err := n.parameters.Get(ctx, name)
	if awserror.Is(err, awserror.Missing) {
		return Ticket{}, 0, ErrNone
	}
	if err != nil {
		return Ticket{}, 0, fmt.Errorf("read the ticket: %w", err)
	}
	t, err = decode(v)
	return t, v.Version, err
}

func decode(v parameter.Value) (Ticket, error) {
	var s stored
	var others map[string]json.RawMessage
	text := []byte(v.Text.Reveal())
	if json.Unmarshal(text, &s) != nil || json.Unmarshal(text, &others) != nil || s.Ticket == "" {
		return Ticket{}, &awserror.Malformed{Resource: v.Name, Detail: "it holds no ticket"}
	}
	delete(others, "ticket")
	delete(others, "create_time")
	return Ticket{secret.New(s.Ticket), s.CreateTime, others}, nil
}

// Store stores the ticket unless a newer one stands there. A parameter that holds no ticket is written over.
//
// A write that came between is found out afterwards, see [parameter.Store.Overwritten]. If it was of a newer ticket,
// that one is put back.
func (n Newest) Store(ctx context.Context, t Ticket) error {
	current, version, err := n.load(ctx)
	var malformed *awserror.Malformed
	switch {
	case errors.As(err, &malformed):
	case errors.Is(err, ErrNone):
		_, err := n.parameters.Create(ctx, name, encode(t))
		if awserror.Is(err, awserror.Exists) {
			return n.Store(ctx, t)
		}
		return wrap(err)
	case err != nil:
		return err
	case current.CreateTime >= t.CreateTime:
		return nil
	}
	t.others = current.others
	for {
		text := encode(t)
		written, err := n.parameters.Put(ctx, name, text)
		if err != nil {
			return wrap(err)
		}
		theirs, conflict, err := n.parameters.Overwritten(ctx, name, version, written, text)
		if err != nil || !conflict {
			return wrap(err)
		}
		newer, err := decode(theirs)
		if err != nil || newer.CreateTime <= t.CreateTime {
			return nil
		}
		t, version = newer, written
	}
}

func wrap(err error) error {
	if err != nil {
		err = fmt.Errorf("store the ticket: %w", err)
	}
	return err
}

func encode(t Ticket) secret.Value {
	text, _ := plainjson.Marshal(stored{t.Text.Reveal(), t.CreateTime}) // always encodes
	if len(t.others) > 0 {
		all := maps.Clone(t.others)
		json.Unmarshal(text, &all)
		text, _ = plainjson.Marshal(all)
	}
	return secret.New(string(text))
}
