// Package account keeps what the bundle knows of an account: one SSM parameter each, which holds no secret.
package account

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"strconv"
	"strings"
	"time"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/plainjson"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/wechat"
)

// Status is whether an account has authorised the platform.
type Status string

// The statuses.
const (
	Authorized   Status = "authorized"
	Unauthorized Status = "unauthorized"
)

// renewAfter is how old checked_at may grow before it is written although nothing else changed: parameters can't be
// written often.
const renewAfter = 7 * 24 * time.Hour

// Record is what is known of an account.
type Record struct {
	AppID       string
	Status      Status
	StatusAt    int64 // Unix seconds of the push that said so; 0: none did
	DraftSwitch wechat.SwitchState
	CheckedAt   time.Time // of the switch; zero: never
	Errcode     int       // of the last check, if WeChat refused it

	others map[string]json.RawMessage
}

type stored struct {
	AppID       string             `json:"appid"`
	Status      Status             `json:"status"`
	StatusAt    int64              `json:"status_at,omitempty"`
	DraftSwitch wechat.SwitchState `json:"draft_switch"`
	CheckedAt   *time.Time         `json:"checked_at,omitempty"`
	Errcode     int                `json:"errcode,omitempty"`
}

// New is the record of an account that nothing is known of but that it is there.
func New(appID string) Record {
	return Record{AppID: appID, Status: Authorized, DraftSwitch: wechat.SwitchUnknown}
}

// Found notes what a check of the account's switch said.
func (r *Record) Found(state wechat.SwitchState, at time.Time) {
	r.DraftSwitch, r.CheckedAt, r.Errcode = state, at, 0
}

// SwitchChanged is the event that the switch of r's account went from one state to another. Its id is made of what was
// known before, so that it is the same if the same change is told again.
func (r Record) SwitchChanged(from, to wechat.SwitchState) eventbus.Event {
	return eventbus.Event{DetailType: eventbus.DraftSwitchChanged, Detail: struct {
		ID    string             `json:"id"`
		AppID string             `json:"appid"`
		From  wechat.SwitchState `json:"from"`
		To    wechat.SwitchState `json:"to"`
	}{eventbus.ID(eventbus.DraftSwitchChanged, r.AppID, from, to, r.CheckedAt.Unix()), r.AppID, from, to}}
}

// decode reads a record. The appid is the one in the parameter's name.
func decode(v parameter.Value) (Record, error) {
	record := New(v.Name[strings.LastIndexByte(v.Name, '/')+1:])
	var s stored
	text := []byte(v.Text.Reveal())
	if json.Unmarshal(text, &s) != nil || json.Unmarshal(text, &record.others) != nil {
		return Record{}, &awserror.Malformed{Resource: v.Name, Detail: "it is not the JSON object that the bundle writes"}
	}
	if s.Status != "" {
		record.Status = s.Status
	}
	if s.DraftSwitch != "" {
		record.DraftSwitch = s.DraftSwitch
	}
	if s.CheckedAt != nil {
		record.CheckedAt = *s.CheckedAt
	}
	record.StatusAt, record.Errcode = s.StatusAt, s.Errcode
	return record, nil
}

func (r Record) encode() secret.Value {
	s := stored{r.AppID, r.Status, r.StatusAt, r.DraftSwitch, nil, r.Errcode}
	if !r.CheckedAt.IsZero() {
		at := r.CheckedAt.UTC().Truncate(time.Second)
		s.CheckedAt = &at
	}
	known, _ := plainjson.Marshal(s) // nothing in it can't be encoded
	all := maps.Clone(r.others)
	if all == nil {
		all = make(map[string]json.RawMessage)
	}
	for _, key := range []string{"status_at", "checked_at", "errcode"} {
		delete(all, key)
	}
	json.Unmarshal(known, &all)
	text, _ := plainjson.Marshal(all)
	return secret.New(string(text))
}

// worthWriting reports whether now differs from before in what is to be kept.
func worthWriting(before, now Record) bool {
	return before.Status != now.Status || before.StatusAt != now.StatusAt || before.DraftSwitch != now.DraftSwitch ||
		before.Errcode != now.Errcode || now.CheckedAt.Sub(before.CheckedAt) > renewAfter
}

// Records are the records of all accounts.
type Records struct{ parameters parameter.Store }

// NewRecords makes the records that stand in store.
func NewRecords(store parameter.Store) Records { return Records{store} }

const folder = "accounts"

// Get reads an account's record. One that isn't there is an error of kind [awserror.Missing].
func (rs Records) Get(ctx context.Context, appID string) (Record, error) {
	v, err := rs.parameters.Get(ctx, folder+"/"+appID)
	if err != nil {
		return Record{}, fmt.Errorf("read the account: %w", err)
	}
	return decode(v)
}

// Update changes an account's record, which is made if it isn't there, and writes it if that is worth a write. before
// is the record that change was applied to last.
//
// SSM has no conditional write. But it numbers them: where a write comes out as a later number than the one after
// what was read, another one came between and was overwritten. Then its content, which SSM keeps, is read and the
// change applied to it in turn, so that two writers of different things both win.
func (rs Records) Update(ctx context.Context, appID string, change func(*Record)) (before, after Record, err error) {
	name := folder + "/" + appID
	for {
		current, err := rs.parameters.Get(ctx, name)
		missing := awserror.Is(err, awserror.Missing)
		if err != nil && !missing {
			return before, after, fmt.Errorf("read the account: %w", err)
		}
		before = New(appID)
		if !missing {
			if before, err = decode(current); err != nil {
				return before, after, err
			}
		}
		after = before
		change(&after)
		if missing {
			if _, err = rs.parameters.Create(ctx, name, after.encode()); awserror.Is(err, awserror.Exists) {
				continue
			}
			if err != nil {
				err = fmt.Errorf("create the account: %w", err)
			}
			return before, after, err
		}
		if !worthWriting(before, after) {
			return before, after, nil
		}

		version := current.Version
		for {
			written, err := rs.parameters.Put(ctx, name, after.encode())
			if err != nil {
				return before, after, fmt.Errorf("write the account: %w", err)
			}
			if written <= version+1 {
				return before, after, nil
			}
			version = written
			overwritten, err := rs.parameters.Get(ctx, name+":"+strconv.FormatInt(written-1, 10))
			if err != nil {
				return before, after, fmt.Errorf("read the account's former version: %w", err)
			}
			if before, err = decode(overwritten); err != nil {
				return before, after, err
			}
			after = before
			change(&after)
		}
	}
}

// Page reads one page of records, at most 10; next is empty at the first, and after at the last. A record that can't
// be read is left out, since one must not hide the others; unreadable counts them.
func (rs Records) Page(ctx context.Context, next string, limit int) (page []Record, after string, unreadable int, err error) {
	values, after, err := rs.parameters.List(ctx, folder, next, limit)
	if err != nil {
		return nil, "", 0, fmt.Errorf("list the accounts: %w", err)
	}
	for _, v := range values {
		record, err := decode(v)
		if err != nil {
			unreadable++
			continue
		}
		page = append(page, record)
	}
	return page, after, unreadable, nil
}

// All reads every record. The sequence ends with the error that ends it.
func (rs Records) All(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for next := ""; ; {
			page, after, _, err := rs.Page(ctx, next, 10)
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, record := range page {
				if !yield(record, nil) {
					return
				}
			}
			if next = after; next == "" {
				return
			}
		}
	}
}
