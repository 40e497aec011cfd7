package state

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/wechat"
)

// Status says whether an account authorises the platform.
type Status string

// The statuses.
const (
	Authorized   Status = "authorized"
	Unauthorized Status = "unauthorized"
)

// checkedAtPrecision is how far a stored checked_at may lag behind, so that checks without news cost no write.
const checkedAtPrecision = 7 * 24 * time.Hour

// Account is what the bundle knows of an account.
type Account struct {
	AppID       string
	Kind        wechat.AccountKind // empty: not known yet
	Name        string             // as WeChat gives it
	Status      Status
	StatusAt    int64 // Unix seconds of the push that set Status; 0: none
	DraftSwitch wechat.SwitchState
	CheckedAt   time.Time // of the draft switch; zero: never
	Errcode     int       // of the last check, if WeChat refused it

	stored item // the known attributes as they were read; nil: there is no item
}

// NewAccount is an account of which only the appid is known.
func NewAccount(appID string) Account {
	return Account{AppID: appID, Status: Authorized, DraftSwitch: wechat.SwitchUnknown}
}

// IsStored reports whether the account has an item.
func (a Account) IsStored() bool { return a.stored != nil }

// IsMiniProgram reports whether the account is known to be a mini program, which has no draft switch.
func (a Account) IsMiniProgram() bool { return a.Kind == wechat.MiniProgram }

// SetSwitch sets the result of a check of the draft switch. An unknown result doesn't change the state, and an open switch
// stays open: it never closes again.
func (a *Account) SetSwitch(state wechat.SwitchState, at time.Time) {
	if state != wechat.SwitchUnknown && a.DraftSwitch != wechat.SwitchOpen {
		a.DraftSwitch = state
	}
	if !at.Before(a.CheckedAt) {
		a.CheckedAt, a.Errcode = at, 0
	}
}

// SetRefused records that WeChat refused a check for a reason of the account's. The switch's state stays.
func (a *Account) SetRefused(errcode int, at time.Time) {
	if !at.Before(a.CheckedAt) {
		a.CheckedAt, a.Errcode = at, errcode
	}
}

// SetStatus applies a push of the time at, in Unix seconds. A push older than the last one is ignored. Of two in the same
// second, unauthorized wins.
func (a *Account) SetStatus(status Status, at int64) {
	if at < a.StatusAt || at == a.StatusAt && a.Status == Unauthorized {
		return
	}
	a.Status, a.StatusAt = status, at
}

// EndAuthorization sets the status after WeChat said, not by a push, that the authorization had ended at the time asked. A
// later push takes precedence. StatusAt stays.
func (a *Account) EndAuthorization(asked time.Time) {
	if a.StatusAt <= asked.Unix() {
		a.Status = Unauthorized
	}
}

// accountAttributes are the attributes of an account's item. Others are not touched.
var accountAttributes = []string{"appid", "kind", "name", "status", "status_at", "draft_switch", "checked_at", "errcode"}

func (a Account) attributes() item {
	i := item{"appid": text(a.AppID), "status": text(string(a.Status)), "draft_switch": text(string(a.DraftSwitch))}
	if a.Kind != "" {
		i["kind"] = text(string(a.Kind))
	}
	if a.Name != "" {
		i["name"] = text(a.Name)
	}
	if a.StatusAt != 0 {
		i["status_at"] = number(a.StatusAt)
	}
	if !a.CheckedAt.IsZero() {
		i["checked_at"] = rfc3339(a.CheckedAt)
	}
	if a.Errcode != 0 {
		i["errcode"] = number(int64(a.Errcode))
	}
	return i
}

// readAccount treats an attribute of another type as missing, so that an operator's mistake hides no account.
func readAccount(i item) Account {
	a := NewAccount(textOf(i, "sk"))
	a.Name, a.StatusAt = textOf(i, "name"), numberOf(i, "status_at")
	a.CheckedAt, a.Errcode = timeOf(i, "checked_at"), int(numberOf(i, "errcode"))
	switch kind := wechat.AccountKind(textOf(i, "kind")); kind {
	case wechat.OfficialAccount, wechat.MiniProgram:
		a.Kind = kind
	}
	if textOf(i, "status") == string(Unauthorized) {
		a.Status = Unauthorized
	}
	switch state := wechat.SwitchState(textOf(i, "draft_switch")); state {
	case wechat.SwitchOpen, wechat.SwitchClosed:
		a.DraftSwitch = state
	}
	a.stored = make(item, len(accountAttributes))
	for _, name := range accountAttributes {
		if value, there := i[name]; there {
			a.stored[name] = value
		}
	}
	return a
}

// NeedsWrite reports whether change has to be written: a has no item yet, or anything but CheckedAt changes, or CheckedAt by
// more than a week.
func (a Account) NeedsWrite(change func(*Account)) bool {
	after := a
	change(&after)
	return !a.IsStored() || a.Kind != after.Kind || a.Name != after.Name || a.Status != after.Status ||
		a.StatusAt != after.StatusAt || a.DraftSwitch != after.DraftSwitch || a.Errcode != after.Errcode ||
		after.CheckedAt.Sub(a.CheckedAt) > checkedAtPrecision
}

// Accounts are the accounts in the state table.
type Accounts struct{ table Table }

// Accounts gives access to the table's accounts.
func (t Table) Accounts() Accounts { return Accounts{t} }

const accountPK = "account"

// Get reads an account. One without an item is [NewAccount].
func (s Accounts) Get(ctx context.Context, appID string) (Account, error) {
	i, err := s.table.get(ctx, accountPK, appID)
	if err != nil {
		return NewAccount(appID), fmt.Errorf("read the account: %w", err)
	}
	if i == nil {
		return NewAccount(appID), nil
	}
	return readAccount(i), nil
}

// GetAll reads accounts, by appid. One without an item is [NewAccount].
func (s Accounts) GetAll(ctx context.Context, appIDs []string) (map[string]Account, error) {
	items, err := s.table.batchGet(ctx, accountPK, appIDs)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	accounts := make(map[string]Account, len(appIDs))
	for _, appID := range appIDs {
		accounts[appID] = NewAccount(appID)
	}
	for _, i := range items {
		a := readAccount(i)
		accounts[a.AppID] = a
	}
	return accounts, nil
}

// Page reads the accounts after the given appid, in the order of appids: limit of them, or 1 MB if limit is 0. next is the
// appid after which the next page begins, empty at the end.
func (s Accounts) Page(ctx context.Context, after string, limit int) (page []Account, next string, err error) {
	items, next, err := s.table.page(ctx, query{pk: accountPK, after: after, limit: limit})
	if err != nil {
		return nil, "", fmt.Errorf("list the accounts: %w", err)
	}
	for _, i := range items {
		page = append(page, readAccount(i))
	}
	return page, next, nil
}

// Update reads an account, changes it, and writes it if [Account.NeedsWrite] says so. before is the account that the change
// was applied to.
func (s Accounts) Update(ctx context.Context, appID string, change func(*Account)) (before, after Account, err error) {
	read, err := s.Get(ctx, appID)
	if err != nil {
		return read, read, err
	}
	return s.Write(ctx, read, change)
}

// maxRaces is how often a write may lose in a row. Each loss means that another write succeeded.
const maxRaces = 20

// Write is [Accounts.Update] of an account that was read before. The write is conditional on what was read; after a lost
// race the change is applied to the current account.
func (s Accounts) Write(ctx context.Context, read Account, change func(*Account)) (before, after Account, err error) {
	for range maxRaces {
		after = read
		change(&after)
		if !read.NeedsWrite(change) {
			return read, after, nil
		}
		current, ok, err := s.table.update(ctx, replaceAttributes(accountPK, read.AppID, read.stored, after.attributes()))
		if ok || err != nil {
			if err != nil {
				err = fmt.Errorf("write the account: %w", err)
			}
			return read, after, err
		}
		if read = NewAccount(read.AppID); current != nil {
			read = readAccount(current)
		}
	}
	return read, after, &awserror.Error{Operation: "dynamodb:UpdateItem", Resource: s.table.resource(accountPK, read.AppID),
		Kind: awserror.Conflict, Detail: "others keep changing the account"}
}

// replaceAttributes changes the known attributes of an item from stored to wanted, on the condition that they are still as
// stored. Unknown attributes survive.
func replaceAttributes(pk, sk string, stored, wanted item) update {
	u := update{pk: pk, sk: sk, names: make(map[string]string), values: make(item)}
	var set, remove, conditions []string
	for n, name := range accountAttributes {
		alias, old, changed := fmt.Sprintf("#a%d", n), fmt.Sprintf(":old%d", n), fmt.Sprintf(":new%d", n)
		before, there := stored[name]
		after, wants := wanted[name]
		u.names[alias] = name
		if there {
			conditions = append(conditions, alias+" = "+old)
			u.values[old] = before
		} else {
			conditions = append(conditions, "attribute_not_exists("+alias+")")
		}
		switch {
		case wants && (!there || !equal(before, after)):
			set = append(set, alias+" = "+changed)
			u.values[changed] = after
		case there && !wants:
			remove = append(remove, alias)
		}
	}
	var change []string
	if len(set) > 0 {
		change = append(change, "SET "+strings.Join(set, ", "))
	}
	if len(remove) > 0 {
		change = append(change, "REMOVE "+strings.Join(remove, ", "))
	}
	u.change, u.condition = strings.Join(change, " "), strings.Join(conditions, " AND ")
	return u
}

// equal compares attributes that are texts or numbers.
func equal(a, b types.AttributeValue) bool {
	switch a := a.(type) {
	case *types.AttributeValueMemberS:
		b, ok := b.(*types.AttributeValueMemberS)
		return ok && a.Value == b.Value
	case *types.AttributeValueMemberN:
		b, ok := b.(*types.AttributeValueMemberN)
		return ok && a.Value == b.Value
	}
	return false
}

// Cursor is where a survey that ran out of time continues.
type Cursor struct{ table Table }

// SurveyCursor gives access to the survey's cursor.
func (t Table) SurveyCursor() Cursor { return Cursor{t} }

const surveyPK, cursorSK = "survey", "cursor"

// Get returns the appid after which the survey continues; empty: from the start.
func (c Cursor) Get(ctx context.Context) (after string, err error) {
	i, err := c.table.get(ctx, surveyPK, cursorSK)
	return textOf(i, "after"), err
}

// Set replaces the cursor read.
func (c Cursor) Set(ctx context.Context, read, after string) error {
	if read == after {
		return nil
	}
	_, _, err := c.table.update(ctx, update{
		pk: surveyPK, sk: cursorSK, change: "SET #after = :after", condition: "attribute_not_exists(#after) OR #after = :read",
		names: map[string]string{"#after": "after"}, values: item{":after": text(after), ":read": text(read)},
	})
	return err // a lost race is no error: a concurrent survey's cursor is as good
}
