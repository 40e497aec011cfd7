package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/push"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/ticket"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	// lateTicket is when pushes must be taken to have stopped: they come about every ten minutes.
	lateTicket = 30 * time.Minute
	// deadTicket is when WeChat takes a ticket no more.
	deadTicket = 12 * time.Hour
	// namedFailures is how many accounts the doctor names.
	namedFailures = 10
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
	Action string `json:"action"` // empty where all is well
}

func (d *diagnosis) well(name, detail string, args ...any) {
	d.Checks = append(d.Checks, check{name, true, fmt.Sprintf(detail, args...), ""})
}

func (d *diagnosis) ill(name, detail, action string) {
	d.OK = false
	d.Checks = append(d.Checks, check{name, false, detail, action})
}

// failed is an ill check because of an error, which knows by itself who does what.
func (d *diagnosis) failed(name string, err error, now time.Time) {
	d.ill(name, err.Error(), api.ProblemOf(err, now).Advice())
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
	runRefreshFirst = `The bundle's operator: run the task refresh-tokens and look at its result.`
)

// doctor does the task of that name. It only reads, in AWS and at WeChat; a token that WeChat refuses isn't even
// reported as rejected.
func (h *handler) doctor(ctx context.Context, _ json.RawMessage) (any, error) {
	d := &diagnosis{Task: "doctor", OK: true}
	h.examinePlatform(ctx, d)
	h.examineTicket(ctx, d)
	if stored, ok := h.examineComponent(ctx, d); ok {
		h.examineWeChat(ctx, d, stored)
	} else {
		for _, name := range []string{checkAccepted, checkQuota, checkWhitelist} {
			d.ill(name, "not known: there is no component token to call WeChat with", "Mend the component token first.")
		}
	}
	h.examineAccounts(ctx, d)
	h.Log.InfoContext(ctx, "diagnosed", "task", d.Task, "ok", d.OK, "checks", d.Checks)
	return d, nil
}

func (h *handler) examinePlatform(ctx context.Context, d *diagnosis) {
	p, err := h.Platform.Fresh(ctx)
	if err != nil {
		d.failed(checkPlatform, err, h.Now())
		return
	}
	if _, err := push.NewReceiver(p.AppID, p.MessageToken, p.EncodingAESKey, p.PreviousAESKey); err != nil {
		d.ill(checkPlatform, err.Error(), "The bundle's operator: copy the value anew from the platform's settings into the platform secret.")
		return
	}
	d.well(checkPlatform, "there and well-formed, of platform %s", p.AppID)
}

func (h *handler) examineTicket(ctx context.Context, d *diagnosis) {
	const lookAtURL = "The platform's operator: check that the callback URL in the platform's settings is this bundle's, and its log for refused pushes; " +
		"the task refresh-tokens asks WeChat to push where there is no ticket."
	newest, err := h.Tickets.Load(ctx)
	age := newest.Age(h.Now()).Round(time.Second)
	switch {
	case !h.manageTokens:
		d.well(checkTicket, "not needed: ManageTokens is false, so somebody else fetches the tokens")
	case errors.Is(err, ticket.ErrNone):
		d.ill(checkTicket, err.Error(), lookAtURL)
	case err != nil:
		d.failed(checkTicket, err, h.Now())
	case age > deadTicket:
		d.ill(checkTicket, fmt.Sprintf("the newest is %s old, and WeChat takes none of more than 12 hours", age), lookAtURL)
	case age > lateTicket:
		d.ill(checkTicket, fmt.Sprintf("the newest is %s old; they should come about every ten minutes", age), lookAtURL)
	default:
		d.well(checkTicket, "the newest is %s old", age)
	}
}

func (h *handler) examineComponent(ctx context.Context, d *diagnosis) (token.Stored, bool) {
	entry, stored, err := h.Read(ctx, token.Component)
	refresh := runRefreshFirst
	if !h.manageTokens {
		refresh = "The bundle's operator: look at the token server that writes the secret."
	}
	switch {
	case err != nil:
		d.failed(checkComponent, err, h.Now())
	case entry.Version == "":
		d.ill(checkComponent, h.Component.Name(token.Component)+" is not there", refresh)
	case stored.Access.IsZero():
		d.ill(checkComponent, h.Component.Name(token.Component)+" holds no access_token", refresh)
	case h.expired(stored):
		d.ill(checkComponent, "it expired at "+stored.ExpiresAt.UTC().Format(time.RFC3339), refresh)
	case stored.ExpiresAt.IsZero():
		d.well(checkComponent, "there; when it expires isn't stored")
		return stored, true
	default:
		d.well(checkComponent, "there, until %s", stored.ExpiresAt.UTC().Format(time.RFC3339))
		return stored, true
	}
	return stored, false
}

// examineWeChat asks for the quota of the draft list, which tells of the token and the whitelist too and uses nothing
// of that quota.
func (h *handler) examineWeChat(ctx context.Context, d *diagnosis, stored token.Stored) {
	quota, err := h.WeChat.DraftListQuota(ctx, stored.Access)
	var refusal *wechat.Error
	known := errors.As(err, &refusal)
	advice := api.ProblemOf(err, h.Now()).Advice()
	unlisted := known && refusal.Known().Class == wechat.Whitelist
	switch {
	case err == nil:
		d.well(checkAccepted, "WeChat takes it")
	case unlisted:
		d.ill(checkAccepted, "not known: WeChat refuses the address before it looks at the token", "Mend the whitelist first.")
	default:
		d.ill(checkAccepted, err.Error(), advice)
	}
	switch {
	case unlisted:
		d.ill(checkQuota, "not known: WeChat refuses the address", "Mend the whitelist first.")
	case err != nil:
		d.ill(checkQuota, "not known: "+err.Error(), advice)
	case quota.Left <= 0:
		d.ill(checkQuota, fmt.Sprintf("used up: %d of %d today", quota.Used, quota.Limit),
			api.ProblemOf(&wechat.Error{Code: 45009}, h.Now()).Advice())
	default:
		d.well(checkQuota, "%d used, %d left of %d today", quota.Used, quota.Left, quota.Limit)
	}
	address := h.egressIP
	if known && refusal.EgressIP() != "" {
		address = refusal.EgressIP()
	}
	switch {
	case unlisted:
		if address == "" {
			address = "not named"
		}
		d.ill(checkWhitelist, "WeChat refuses the bundle's address: "+address, advice)
	case err != nil && !known:
		d.ill(checkWhitelist, "not known: "+err.Error(), advice)
	case address == "":
		d.well(checkWhitelist, "a call was not refused for its address, so the bundle's is in it")
	default:
		d.well(checkWhitelist, "a call was not refused for its address, so the bundle's (%s) is in it", address)
	}
}

func (h *handler) examineAccounts(ctx context.Context, d *diagnosis) {
	unauthorized, err := h.unauthorized(ctx)
	if err != nil {
		d.failed(checkAccounts, err, h.Now())
		return
	}
	total, well, left, named := 0, 0, 0, []string{}
	action := ""
	for holding, err := range h.Accounts.Accounts(ctx) {
		if err != nil && holding.AppID == "" {
			d.failed(checkAccounts, err, h.Now())
			return
		}
		if total++; unauthorized[holding.AppID] {
			left++
			continue
		}
		ill := h.examineAccount(holding, err)
		if ill == nil {
			well++
			continue
		}
		if len(named) < namedFailures {
			named = append(named, holding.AppID+": "+ill.Errmsg)
		}
		if action == "" {
			action = ill.Action
		}
	}
	counts := fmt.Sprintf("%d accounts have tokens: %d well, %d not authorised any more, %d not well", total, well, left, total-well-left)
	if action == "" {
		d.well(checkAccounts, "%s", counts)
		return
	}
	d.ill(checkAccounts, counts+" ("+strings.Join(named, "; ")+")", action)
}

// unauthorized are the accounts whose authorisation ended.
func (h *handler) unauthorized(ctx context.Context) (map[string]bool, error) {
	found := make(map[string]bool)
	for next := ""; ; {
		page, after, _, err := h.Records.Page(ctx, next, 10)
		if err != nil {
			return nil, err
		}
		for _, record := range page {
			found[record.AppID] = record.Status == account.Unauthorized
		}
		if next = after; next == "" {
			return found, nil
		}
	}
}

// examineAccount tells what is wrong with what stands for an account, or nil.
func (h *handler) examineAccount(holding token.Holding, err error) *renewal.Failure {
	var stored token.Stored
	if err == nil {
		stored, err = token.Parse(h.Accounts.Name(holding.AppID), holding.Entry.Text)
	}
	if err != nil {
		failure := renewal.FailureOf(holding.AppID, err, h.Now())
		return &failure
	}
	ill := &renewal.Failure{AppID: holding.AppID, Action: runRefreshFirst}
	switch {
	case stored.Access.IsZero():
		ill.Errmsg = "no access token was fetched yet"
	case h.expired(stored):
		ill.Errmsg = "expired at " + stored.ExpiresAt.UTC().Format(time.RFC3339)
	case h.manageTokens && stored.Refresh.IsZero() && stored.AppSecret.IsZero() && !stored.ExpiresAt.IsZero():
		ill.Errmsg = "nothing is stored to renew it with"
		ill.Action = "The bundle's operator: run the task import-accounts, which takes refresh tokens from WeChat's list, or store an own account's appsecret."
	default:
		return nil
	}
	return ill
}
