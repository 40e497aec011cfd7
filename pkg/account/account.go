// Package account keeps what the bundle knows of an account: one SSM parameter each, which holds no secret.
package account

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
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

// RenewAfter is how old checked_at may grow before it is written although nothing else changed: parameters can't be
// written often.
const RenewAfter = 7 * 24 * time.Hour

// Record is what is known of an account.
type Record struct {
	AppID       string
	Status      Status
	StatusAt    int64 // Unix seconds of the push that said so; 0: none did
	DraftSwitch wechat.SwitchState
	CheckedAt   time.Time // of the switch; zero: never
	Errcode     int       // of the last check, if WeChat refused it

	version int64                      // of the parameter; 0: there is none
	others  map[string]json.RawMessage // keys of somebody else, which survive a rewrite
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

// Found notes what a check of the account's switch said. Where it said nothing of the state, what was known stays.
func (r *Record) Found(state wechat.SwitchState, at time.Time) {
	if r.DraftSwitch == wechat.SwitchOpen && at.Before(r.CheckedAt) {
		return // it was opened since: an open switch never closes
	}
	if state != wechat.SwitchUnknown {
		r.DraftSwitch = state
	}
	r.CheckedAt, r.Errcode = at, 0
}

// Refused notes that WeChat refused a check for the account's own reasons. What was known of the switch stays.
func (r *Record) Refused(errcode int, at time.Time) {
	r.CheckedAt, r.Errcode = at, errcode
	if errcode == codeUnauthorized && r.StatusAt <= at.Unix() { // else it authorised the platform anew since
		r.Status = Unauthorized
	}
}

// codeUnauthorized is WeChat's errcode for an authorisation that ended.
const codeUnauthorized = 61003

// merge takes over what other knows later. Of the same push, its end is the later.
func (r *Record) merge(other Record) {
	if other.StatusAt > r.StatusAt || other.StatusAt == r.StatusAt && other.Status == Unauthorized {
		r.Status, r.StatusAt = other.Status, other.StatusAt
	}
	if other.CheckedAt.After(r.CheckedAt) {
		r.DraftSwitch, r.CheckedAt, r.Errcode = other.DraftSwitch, other.CheckedAt, other.Errcode
	}
}

// Changes are the events that tell of r having become after, other than by a push. A switch that was not known before
// has not changed.
func (r Record) Changes(after Record) (events []eventbus.Event) {
	from, to := r.DraftSwitch, after.DraftSwitch
	if from != to && from != wechat.SwitchUnknown && to != wechat.SwitchUnknown {
		events = append(events, r.SwitchChanged(from, to))
	}
	if r.Status == Authorized && after.Status == Unauthorized {
		events = append(events, r.Unauthorized(r.StatusAt))
	}
	return events
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

// Authorized is the event that r's account authorised the platform, by a push of that time (Unix seconds).
func (r Record) Authorized(at int64) eventbus.Event {
	return r.statusEvent(eventbus.AccountAuthorized, at)
}

// Unauthorized is the event that the authorisation of r's account ended, by a push of that time, or the last push
// before it became known otherwise.
func (r Record) Unauthorized(at int64) eventbus.Event {
	return r.statusEvent(eventbus.AccountUnauthorized, at)
}

func (r Record) statusEvent(detailType string, at int64) eventbus.Event {
	return eventbus.Event{DetailType: detailType, Detail: struct {
		ID    string `json:"id"`
		AppID string `json:"appid"`
	}{eventbus.ID(detailType, r.AppID, at), r.AppID}}
}

// decode reads a record. The appid is the one in the parameter's name.
func decode(v parameter.Value) (Record, error) {
	record := New(v.Name[strings.LastIndexByte(v.Name, '/')+1:])
	var s stored
	text := []byte(v.Text.Reveal())
	if json.Unmarshal(text, &s) != nil || json.Unmarshal(text, &record.others) != nil || record.others == nil {
		return Record{}, &awserror.Malformed{Resource: v.Name, Detail: "it is not the JSON object that the bundle writes"}
	}
	if s.Status == Unauthorized {
		record.Status = Unauthorized
	}
	if s.DraftSwitch == wechat.SwitchOpen || s.DraftSwitch == wechat.SwitchClosed {
		record.DraftSwitch = s.DraftSwitch
	}
	if s.CheckedAt != nil {
		record.CheckedAt = *s.CheckedAt
	}
	record.StatusAt, record.Errcode, record.version = s.StatusAt, s.Errcode, v.Version
	for _, key := range keys {
		delete(record.others, key)
	}
	return record, nil
}

// keys are those of [stored].
var keys = []string{"appid", "status", "status_at", "draft_switch", "checked_at", "errcode"}

func (r Record) encode() secret.Value {
	s := stored{r.AppID, r.Status, r.StatusAt, r.DraftSwitch, nil, r.Errcode}
	if !r.CheckedAt.IsZero() {
		at := r.CheckedAt.UTC().Truncate(time.Second)
		s.CheckedAt = &at
	}
	known, _ := plainjson.Marshal(s) // nothing in it can't be encoded
	all := maps.Clone(r.others)
	json.Unmarshal(known, &all)
	text, _ := plainjson.Marshal(all)
	return secret.New(string(text))
}

// WorthWriting reports whether change would make something of r that is to be kept: it isn't there yet, it says
// something else, or it was checked long after what stands there.
func (r Record) WorthWriting(change func(*Record)) bool {
	after := r
	change(&after)
	return r.version == 0 || r.Status != after.Status || r.StatusAt != after.StatusAt ||
		r.DraftSwitch != after.DraftSwitch || r.Errcode != after.Errcode || after.CheckedAt.Sub(r.CheckedAt) > RenewAfter
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

// Current reads an account's record. One that isn't there is [New].
func (rs Records) Current(ctx context.Context, appID string) (Record, error) {
	record, err := rs.Get(ctx, appID)
	if awserror.Is(err, awserror.Missing) {
		return New(appID), nil
	}
	return record, err
}

// Update changes an account's record, which is made if it isn't there, and writes it if that is worth a write. before
// is the record that change was applied to last.
func (rs Records) Update(ctx context.Context, appID string, change func(*Record)) (before, after Record, err error) {
	current, err := rs.Current(ctx, appID)
	if err != nil {
		return current, current, err
	}
	return rs.Write(ctx, current, change)
}

// Write is Update of a record that was read a moment ago.
//
// A write that came between is found out afterwards, see [parameter.Store.Overwritten]. Then what it wrote is merged and
// written in turn: whoever overwrites something takes it over, so that of any number of writers of different things all
// win.
func (rs Records) Write(ctx context.Context, read Record, change func(*Record)) (before, after Record, err error) {
	name := folder + "/" + read.AppID
	before, after = read, read
	change(&after)
	if !read.WorthWriting(change) {
		return before, after, nil
	}
	if read.version == 0 {
		_, err := rs.parameters.Create(ctx, name, after.encode())
		if awserror.Is(err, awserror.Exists) {
			return rs.Update(ctx, read.AppID, change)
		}
		if err != nil {
			err = fmt.Errorf("create the account: %w", err)
		}
		return before, after, err
	}
	for version := read.version; ; {
		text := after.encode()
		written, err := rs.parameters.Put(ctx, name, text)
		if err != nil {
			return before, after, fmt.Errorf("write the account: %w", err)
		}
		overwritten, conflict, err := rs.parameters.Overwritten(ctx, name, version, written, text)
		if err != nil {
			return before, after, fmt.Errorf("read the account's former version: %w", err)
		}
		if !conflict {
			return before, after, nil
		}
		theirs, err := decode(overwritten)
		if err != nil {
			return before, after, err
		}
		version = written
		merged := theirs
		merged.merge(after)
		change(&merged)
		if merged.encode().Equal(text) { // nothing of theirs is missing
			return before, after, nil
		}
		before, after = theirs, merged
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
