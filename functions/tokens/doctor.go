package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/push"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/ticket"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	// ticketOverdue is the ticket age at which pushes must have stopped: they come about every ten minutes.
	ticketOverdue = 30 * time.Minute
	// ticketLifetime is the ticket age from which WeChat refuses it.
	ticketLifetime = 12 * time.Hour
	// maxNamedFailures limits the accounts named in a check.
	maxNamedFailures = 10
)

// diagnosis is the result of doctor.
type diagnosis struct {
	Task   string  `json:"task"`
	OK     bool    `json:"ok"`
	Checks []check `json:"checks"`
}

type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Action string `json:"action"` // empty where nothing is wrong
}

func (d *diagnosis) pass(name, detail string, args ...any) {
	d.Checks = append(d.Checks, check{name, true, fmt.Sprintf(detail, args...), ""})
}

func (d *diagnosis) fail(name, detail, action string) {
	d.OK = false
	d.Checks = append(d.Checks, check{name, false, detail, action})
}

// failed adds a check that failed with err, whose fault provides the action.
func (d *diagnosis) failed(name string, err error, now time.Time) {
	d.fail(name, err.Error(), fault.Of(err, now).Action)
}

// The names of the checks.
const (
	checkPlatform   = "platform secret"
	checkTicket     = "ticket"
	checkComponent  = "component token"
	checkAccepted   = "component token accepted"
	checkQuota      = "draft list quota"
	checkWhitelist  = "whitelist"
	checkAccounts   = "account tokens"
	checkWrittenOff = "accounts written off"
	checkStateTable = "state table"
	checkTokenTable = "token table"
	runRefreshFirst = `The bundle's operator: run the task refresh-tokens and look at its result.`
)

// doctor is the task doctor. It only reads, from AWS and WeChat, and doesn't even report a token that WeChat refuses.
func (h *handler) doctor(ctx context.Context, _ json.RawMessage) (any, error) {
	d := &diagnosis{Task: "doctor", OK: true}
	h.examinePlatform(ctx, d)
	h.examineTicket(ctx, d)
	accepted := false
	if stored, ok := h.examineComponent(ctx, d); ok {
		accepted = h.examineWeChat(ctx, d, stored)
	} else {
		for _, name := range []string{checkAccepted, checkQuota, checkWhitelist} {
			d.fail(name, "not known: there is no component token to call WeChat with", "Fix the component token first.")
		}
	}
	h.examineTables(ctx, d)
	excluded, err := h.excludedAccounts(ctx)
	if err != nil {
		d.failed(checkAccounts, err, h.renewer.Now())
	} else {
		h.examineAccounts(ctx, d, excluded)
		h.examineWrittenOff(ctx, d, excluded, accepted)
	}
	h.log().InfoContext(ctx, "diagnosed", "task", d.Task, "ok", d.OK, "checks", d.Checks)
	return d, nil
}

func (h *handler) examinePlatform(ctx context.Context, d *diagnosis) {
	p, err := h.renewer.Platform.Fresh(ctx)
	if err != nil {
		d.failed(checkPlatform, err, h.renewer.Now())
		return
	}
	if _, err := push.NewReceiver(p.AppID, p.MessageToken, p.EncodingAESKey, p.PreviousAESKey); err != nil {
		d.fail(checkPlatform, err.Error(), "The bundle's operator: copy the value anew from the platform's settings into the platform secret.")
		return
	}
	d.pass(checkPlatform, "there and well-formed, of platform %s", p.AppID)
}

func (h *handler) examineTicket(ctx context.Context, d *diagnosis) {
	const checkCallbackURL = "The platform's operator: check that the callback URL in the platform's settings is this bundle's, and its log for refused pushes; " +
		"the task refresh-tokens asks WeChat to push where there is no ticket."
	newest, err := h.renewer.Tickets.Load(ctx)
	age := newest.Age(h.renewer.Now()).Round(time.Second)
	switch {
	case !h.manageTokens:
		d.pass(checkTicket, "not needed: ManageTokens is false, so somebody else fetches the tokens")
	case errors.Is(err, ticket.ErrNone):
		d.fail(checkTicket, err.Error(), checkCallbackURL)
	case err != nil:
		d.failed(checkTicket, err, h.renewer.Now())
	case age > ticketLifetime:
		d.fail(checkTicket, fmt.Sprintf("the newest is %s old, and WeChat takes none of more than 12 hours", age), checkCallbackURL)
	case age > ticketOverdue:
		d.fail(checkTicket, fmt.Sprintf("the newest is %s old; they should come about every ten minutes", age), checkCallbackURL)
	default:
		d.pass(checkTicket, "the newest is %s old", age)
	}
}

func (h *handler) examineComponent(ctx context.Context, d *diagnosis) (token.Record, bool) {
	stored, err := h.renewer.Read(ctx, token.Component)
	name := h.renewer.Secrets.Resource(token.Component)
	refresh := runRefreshFirst
	if !h.manageTokens {
		refresh = "The bundle's operator: look at the token server that writes the secret."
	}
	switch {
	case err != nil:
		d.failed(checkComponent, err, h.renewer.Now())
	case !stored.IsStored():
		d.fail(checkComponent, name+" is not there", refresh)
	case stored.Access.IsZero():
		d.fail(checkComponent, name+" holds no access_token", refresh)
	case stored.IsExpired(h.renewer.Now()):
		d.fail(checkComponent, "it expired at "+stored.ExpiresAt.UTC().Format(time.RFC3339), refresh)
	case stored.ExpiresAt.IsZero():
		d.pass(checkComponent, "there; when it expires isn't stored")
		return stored, true
	default:
		d.pass(checkComponent, "there, until %s", stored.ExpiresAt.UTC().Format(time.RFC3339))
		return stored, true
	}
	return stored, false
}

// examineWeChat reads the quota of the draft list, which also tests the token and the whitelist and costs nothing of
// that quota. It reports whether WeChat accepts the token.
func (h *handler) examineWeChat(ctx context.Context, d *diagnosis, stored token.Record) (accepted bool) {
	quota, err := h.renewer.WeChat.DraftListQuota(ctx, stored.Access)
	var refusal *wechat.APIError
	refused := errors.As(err, &refusal)
	action := fault.Of(err, h.renewer.Now()).Action
	if refused && refusal.Info().Class == wechat.Whitelist {
		const first = "Fix the whitelist first."
		d.fail(checkAccepted, "not known: WeChat refuses the address before it looks at the token", first)
		d.fail(checkQuota, "not known: WeChat refuses the address", first)
		d.fail(checkWhitelist, "WeChat refuses the bundle's address: "+h.refusedAddresses(ctx, stored, refusal), action)
		return false
	}
	if err == nil {
		d.pass(checkAccepted, "WeChat accepts it")
	} else {
		d.fail(checkAccepted, err.Error(), action)
	}
	switch {
	case err != nil:
		d.fail(checkQuota, "not known: "+err.Error(), action)
	case !quota.IsKnown():
		d.pass(checkQuota, "WeChat gives no number")
	case quota.Left <= 0:
		d.fail(checkQuota, fmt.Sprintf("used up: %d of %d today", quota.Used, quota.Limit),
			fault.Of(&wechat.APIError{Code: 45009}, h.renewer.Now()).Action)
	default:
		d.pass(checkQuota, "%d used, %d left of %d today", quota.Used, quota.Left, quota.Limit)
	}
	switch {
	case err != nil && !refused:
		d.fail(checkWhitelist, "not known: "+err.Error(), action)
	case h.egressIP == "":
		d.pass(checkWhitelist, "a call was not refused for its address, so the bundle's is in it")
	default:
		d.pass(checkWhitelist, "a call was not refused for its address, so the bundle's (%s) is in it", h.egressIP)
	}
	return err == nil
}

// refusedAddresses returns the addresses that WeChat refuses. The egress IP can differ between two calls, so it makes
// another one.
func (h *handler) refusedAddresses(ctx context.Context, stored token.Record, refusal *wechat.APIError) string {
	addresses := []string{refusal.EgressIP()}
	var again *wechat.APIError
	if _, err := h.renewer.WeChat.DraftListQuota(ctx, stored.Access); errors.As(err, &again) {
		addresses = append(addresses, again.EgressIP())
	}
	addresses = slices.DeleteFunc(addresses, func(ip string) bool { return ip == "" })
	if len(addresses) == 0 && h.egressIP != "" {
		addresses = []string{h.egressIP}
	}
	if len(addresses) == 0 {
		return "not named"
	}
	return strings.Join(slices.Compact(addresses), " and ")
}

// examineAccounts checks the accounts' tokens, except those in excluded.
func (h *handler) examineAccounts(ctx context.Context, d *diagnosis, excluded map[string]string) {
	total, passed, skipped, named := 0, 0, 0, []string{}
	action := ""
	for record, err := range h.renewer.AccountTokens.All(ctx) {
		if err != nil && record.Owner == "" {
			d.failed(checkAccounts, err, h.renewer.Now())
			return
		}
		if total++; excluded[record.Owner] != "" {
			skipped++
			continue
		}
		fault := h.examineAccount(record, err)
		if fault == nil {
			passed++
			continue
		}
		if len(named) < maxNamedFailures {
			named = append(named, record.Owner+": "+fault.Errmsg)
		}
		if action == "" {
			action = fault.Action
		}
	}
	counts := fmt.Sprintf("%d accounts have tokens: %d in order, %d not authorized any more or ignored, %d with faults",
		total, passed, skipped, total-passed-skipped)
	if action == "" {
		d.pass(checkAccounts, "%s", counts)
	} else {
		d.fail(checkAccounts, counts+" ("+strings.Join(named, "; ")+")", action)
	}
}

// The reasons why an account's token is not refreshed.
const (
	leftPlatform = "left the platform"
	isIgnored    = "ignored"
)

// excludedAccounts returns the accounts whose tokens are not refreshed, with the reason.
func (h *handler) excludedAccounts(ctx context.Context) (map[string]string, error) {
	found := make(map[string]string)
	for after := ""; ; {
		page, next, err := h.renewer.Accounts.Page(ctx, after, 0)
		if err != nil {
			return nil, err
		}
		for _, a := range page {
			switch {
			case a.Status == state.Unauthorized:
				found[a.AppID] = leftPlatform
			case h.ignoreMiniPrograms && a.IsMiniProgram():
				found[a.AppID] = isIgnored
			}
		}
		if after = next; after == "" {
			return found, nil
		}
	}
}

// examineWrittenOff looks for accounts recorded as unauthorized that WeChat lists with a refresh token. It needs an
// accepted component token: a refused one would be reported as rejected.
func (h *handler) examineWrittenOff(ctx context.Context, d *diagnosis, excluded map[string]string, accepted bool) {
	if !h.manageTokens {
		return
	}
	if !accepted {
		d.fail(checkWrittenOff, "not known: there is no component token that WeChat accepts", "Fix the component token first.")
		return
	}
	var listed []string
	err := h.renewer.Directory.Each(ctx, func(one wechat.Authorizer) error {
		if excluded[one.AppID] == leftPlatform && !one.Refresh.IsZero() {
			listed = append(listed, one.AppID)
		}
		return nil
	})
	switch {
	case err != nil:
		d.fail(checkWrittenOff, "not known: "+err.Error(), fault.Of(err, h.renewer.Now()).Action)
	case len(listed) > 0:
		named := strings.Join(listed[:min(len(listed), maxNamedFailures)], ", ")
		d.fail(checkWrittenOff, fmt.Sprintf("%d accounts are recorded as unauthorized although WeChat lists them: %s", len(listed), named),
			"The bundle's operator: run the task import-accounts, which tries each of them once.")
	default:
		d.pass(checkWrittenOff, "no account that WeChat lists is recorded as unauthorized")
	}
}

// examineAccount returns what is wrong with an account's record, or nil.
func (h *handler) examineAccount(record token.Record, err error) *renewal.Failure {
	if err != nil {
		failure := renewal.FailureOf(record.Owner, err, h.renewer.Now())
		return &failure
	}
	fault := &renewal.Failure{AppID: record.Owner, Action: runRefreshFirst}
	switch {
	case record.Access.IsZero():
		fault.Errmsg = "no access token was fetched yet"
	case record.IsExpired(h.renewer.Now()):
		fault.Errmsg = "expired at " + record.ExpiresAt.UTC().Format(time.RFC3339)
	case h.manageTokens && lacksRefreshToken(record) && !record.ExpiresAt.IsZero():
		fault.Errmsg = "nothing is stored to renew it with"
		fault.Action = "The bundle's operator: run the task import-accounts, which takes refresh tokens from WeChat's list, or store an own account's appsecret."
	default:
		return nil
	}
	return fault
}

// examineTables checks that the tables exist. Other checks show whether they can be read.
func (h *handler) examineTables(ctx context.Context, d *diagnosis) {
	for _, table := range []struct{ check, name string }{
		{checkStateTable, h.renewer.State.Name()}, {checkTokenTable, h.renewer.Table.Name()},
	} {
		status, err := h.renewer.State.Describe(ctx, table.name)
		switch {
		case err != nil:
			d.failed(table.check, err, h.renewer.Now())
		case status != "ACTIVE" && status != "UPDATING":
			d.fail(table.check, table.name+" is "+status, "The bundle's operator: wait until AWS has made the table, or restore it.")
		default:
			d.pass(table.check, "%s is there", table.name)
		}
	}
}
