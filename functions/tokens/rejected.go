package main

import (
	"context"
	"encoding/json"
	"errors"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// rejectedToken is the detail of Token Rejected. VersionID is empty if the sender can't read record versions; then a
// recent token counts as fetched after the rejection.
type rejectedToken struct {
	AppID     string `json:"appid"`
	Errcode   int    `json:"errcode"`
	VersionID string `json:"version_id"`
}

// rejected handles Token Rejected: it renews the token, unless it was replaced since, or fetched so recently that
// somebody else must be fetching it too, and another fetch would only supersede theirs.
func (h *handler) rejected(ctx context.Context, detail json.RawMessage) error {
	var d rejectedToken
	if json.Unmarshal(detail, &d) != nil {
		return errors.New("the detail of Token Rejected can't be read")
	}
	work, done, _ := splitDeadline(ctx)
	defer done()
	attempts, lease := h.renewer.Attempts(), h.renewer.Lease(renewal.TokenLeaseTimeout)
	defer lease.Release(ctx)
	stored, renew, err := h.shouldRefresh(work, d)
	if renew && lease.Acquire(work) {
		stored, renew, err = h.shouldRefresh(work, d)
	}
	if !renew {
		return err
	}
	err = attempts.Run(work, stored, attempts.Wait(work, d.AppID), false, func() error {
		if d.AppID == token.Component {
			return h.renewer.RenewComponent(work, stored)
		}
		_, err := h.renewer.RenewAccount(work, stored, h.renewer.Directory.List(), stored.Access)
		return err
	})
	var waiting *renewal.WaitingError
	if errors.As(err, &waiting) { // its failure was published
		h.log().InfoContext(ctx, "a rejected token has to wait", "appid", d.AppID, "until", waiting.Wait.Until)
		return nil
	}
	if err != nil {
		h.log().WarnContext(ctx, "a rejected token could not be renewed", "appid", d.AppID, "error", err.Error())
		attempts.PublishFailures(ctx, renewal.FailureOf(d.AppID, err, h.renewer.Now()))
		return nil // the next refusal, or run of refresh-tokens, tries again; a repeat of the event would not help sooner
	}
	h.log().InfoContext(ctx, "a rejected token was renewed", "appid", d.AppID)
	return nil
}

// shouldRefresh reads the record of a rejected token and reports whether to renew it.
func (h *handler) shouldRefresh(ctx context.Context, d rejectedToken) (stored token.Record, renew bool, err error) {
	stored, err = h.renewer.Read(ctx, d.AppID)
	var malformed *awserror.MalformedError
	switch {
	case err != nil && !errors.As(err, &malformed):
		return stored, false, err
	case !stored.IsStored() && d.AppID != token.Component: // nothing to renew it with
		return stored, false, nil
	case stored.Version != d.VersionID && (d.VersionID != "" || h.isFresh(stored)):
		h.log().InfoContext(ctx, "the rejected token was replaced already", "appid", d.AppID)
		return stored, false, nil
	case err != nil && d.AppID != token.Component:
		return stored, false, err
	case h.isFresh(stored):
		h.renewer.Attempts().PublishFailures(ctx, renewal.Failure{AppID: d.AppID, Errcode: d.Errcode, Errmsg: "the rejected token was fetched less than ten minutes ago",
			Action: "The platform's operator: somebody else seems to fetch this token too, and each fetch ends the other's; find them and leave it to this bundle. " +
				wechat.Lookup(d.Errcode).Action})
		return stored, false, nil
	case d.AppID == token.Component || stored.IsOwnAccount():
		return stored, true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, accountsTimeout)
	defer cancel()
	account, err := h.renewer.Accounts.Get(ctx, d.AppID)
	return stored, err != nil || account.Status != state.Unauthorized, nil
}

// isFresh reports whether a token was fetched in the last ten minutes and hasn't expired.
func (h *handler) isFresh(r token.Record) bool {
	return !r.Access.IsZero() && h.renewer.IsRecent(r) && !r.IsExpired(h.renewer.Now())
}
