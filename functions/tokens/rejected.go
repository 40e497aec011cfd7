package main

import (
	"context"
	"encoding/json"
	"errors"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// rejectedToken is the detail of Token Rejected.
type rejectedToken struct {
	AppID     string `json:"appid"`
	Errcode   int    `json:"errcode"`
	VersionID string `json:"version_id"`
}

// rejected handles Token Rejected: the token is renewed, unless that has happened since, or it was fetched so lately
// that fetching another one would only feed a fight with whoever superseded it.
func (h *handler) rejected(ctx context.Context, detail json.RawMessage) error {
	var d rejectedToken
	if json.Unmarshal(detail, &d) != nil {
		return errors.New("the detail of Token Rejected can't be read")
	}
	work, done, _ := span(ctx)
	defer done()
	turn := h.Turn(littlePatience)
	defer turn.End()
	entry, stored, renew, err := h.replaceable(work, d)
	if renew && turn.Take(work) {
		entry, stored, renew, err = h.replaceable(work, d)
	}
	if !renew {
		return err
	}
	if d.AppID == token.Component {
		err = h.RenewComponent(work, entry, stored)
	} else {
		_, err = h.renew(work, d.AppID, entry, stored, h.Authorizers(), stored.Access)
	}
	if err != nil {
		h.Log.WarnContext(ctx, "a rejected token could not be renewed", "appid", d.AppID, "error", err.Error())
		h.PublishFailures(ctx, renewal.FailureOf(d.AppID, err, h.Now()))
		return nil // the next refusal, or run of refresh-tokens, tries again; a repeat of the event would not help sooner
	}
	h.Log.InfoContext(ctx, "a rejected token was renewed", "appid", d.AppID)
	return nil
}

// replaceable reads what stands for the holder of a rejected token, and reports whether it should be renewed.
func (h *handler) replaceable(ctx context.Context, d rejectedToken) (entry token.Entry, stored token.Stored, renew bool, err error) {
	entry, stored, err = h.Read(ctx, d.AppID)
	var malformed *awserror.Malformed
	switch {
	case err != nil && !errors.As(err, &malformed):
		return entry, stored, false, err
	case entry.Version == "" && d.AppID != token.Component: // nothing to renew it with
		return entry, stored, false, nil
	case entry.Version != d.VersionID:
		h.Log.InfoContext(ctx, "the rejected token was replaced already", "appid", d.AppID)
		return entry, stored, false, nil
	case err != nil && d.AppID != token.Component:
		return entry, stored, false, err
	case !stored.Access.IsZero() && h.Young(entry, stored) && !h.expired(stored):
		h.PublishFailures(ctx, renewal.Failure{AppID: d.AppID, Errcode: d.Errcode, Errmsg: "the rejected token was fetched less than ten minutes ago",
			Action: "The platform's operator: somebody else seems to fetch this token too, and each fetch ends the other's; find them and leave it to this bundle. " +
				wechat.Lookup(d.Errcode).Action})
		return entry, stored, false, nil
	case d.AppID == token.Component || !stored.AppSecret.IsZero():
		return entry, stored, true, nil
	}
	record, err := h.Records.Get(ctx, d.AppID)
	return entry, stored, err != nil || record.Status != account.Unauthorized, nil
}

// expired: nobody has to have superseded a token that ended by itself.
func (h *handler) expired(stored token.Stored) bool {
	return !stored.ExpiresAt.IsZero() && !h.Now().Before(stored.ExpiresAt)
}
