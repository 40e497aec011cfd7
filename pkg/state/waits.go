package state

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	waitPK          = "wait"
	authorizationPK = "authorization"
	componentWaitSK = "component" // can't be an appid
	// waitRetention is how long a wait is stored after the last failure or success.
	waitRetention = 8 * 24 * time.Hour
)

// Wait is the state of a token whose fetch failed: when it may be retried, what ends the wait early, and what was published.
// It survives a success, so that a token that keeps failing and recovering isn't published each time.
type Wait struct {
	Owner       string
	Failures    int // in a row; 0: the last fetch succeeded
	Until       time.Time
	Errcode     int    // of the last failure
	Action      string // what to do, and who does it
	Reauthorize bool   // only the account's administrator can fix it

	TicketTime      int64  // create_time of the ticket that was refused; a newer one ends the wait
	PlatformVersion string // of the platform secret that was refused; another one ends the wait
	TokenVersion    string // of the record whose fetch failed; another version ends the wait

	PublishedAt      time.Time // of Token Refresh Failed
	PublishedErrcode int

	revision int64 // incremented by each write; 0: there is no item
}

// IsActive reports whether the token's last fetch failed and it isn't time for the next one yet.
func (w Wait) IsActive(now time.Time) bool { return w.Failures > 0 && now.Round(0).Before(w.Until) }

// Waits are the waits of tokens in the state table.
type Waits struct{ table Table }

// Waits gives access to the table's waits.
func (t Table) Waits() Waits { return Waits{t} }

func waitSK(owner string) string {
	if owner == "" {
		return componentWaitSK
	}
	return owner
}

// Get reads an owner's wait; one without an item is the zero wait of that owner.
func (s Waits) Get(ctx context.Context, owner string) (Wait, error) {
	i, err := s.table.get(ctx, waitPK, waitSK(owner))
	if err != nil {
		return Wait{Owner: owner}, fmt.Errorf("read when a token may be fetched: %w", err)
	}
	return readWait(owner, i), nil
}

// GetAll reads the waits of accounts, by appid. One without an item is missing in the result.
func (s Waits) GetAll(ctx context.Context, appIDs []string) (map[string]Wait, error) {
	items, err := s.table.batchGet(ctx, waitPK, appIDs)
	if err != nil {
		return nil, fmt.Errorf("read when tokens may be fetched: %w", err)
	}
	waits := make(map[string]Wait, len(items))
	for _, i := range items {
		appID := textOf(i, "sk")
		waits[appID] = readWait(appID, i)
	}
	return waits, nil
}

func readWait(owner string, i item) Wait {
	return Wait{
		Owner: owner, Failures: int(numberOf(i, "failures")), Until: timeOf(i, "wait_until"),
		Errcode: int(numberOf(i, "errcode")), Action: textOf(i, "action"), Reauthorize: isTrue(i, "reauthorize"),
		TicketTime: numberOf(i, "ticket_time"), PlatformVersion: textOf(i, "platform_version"), TokenVersion: textOf(i, "token_version"),
		PublishedAt: timeOf(i, "published_at"), PublishedErrcode: int(numberOf(i, "published_errcode")),
		revision: numberOf(i, "revision"),
	}
}

// Update changes a wait that was read before. After a lost race the change is applied to the current wait. Nothing is
// written if nothing changes.
func (s Waits) Update(ctx context.Context, read Wait, change func(*Wait)) (Wait, error) {
	for range maxRaces {
		next := read
		change(&next)
		if next == read {
			return read, nil
		}
		current, ok, err := s.table.update(ctx, s.write(read, next))
		if ok || err != nil {
			next.revision++
			if err != nil {
				err = fmt.Errorf("note when a token may be fetched: %w", err)
			}
			return next, err
		}
		read = readWait(read.Owner, current)
	}
	return read, nil // the other writers have newer results
}

func (s Waits) write(read, next Wait) update {
	u := update{
		pk: waitPK, sk: waitSK(next.Owner),
		change: "SET failures = :failures, wait_until = :until, errcode = :errcode, #action = :action, reauthorize = :reauthorize, " +
			"ticket_time = :ticket, platform_version = :platform, token_version = :token, " +
			"published_at = :published, published_errcode = :publishedErrcode, revision = :next, expires = :expires",
		condition: "attribute_not_exists(pk)",
		names:     map[string]string{"#action": "action"}, // a reserved word
		values: item{
			":failures": number(int64(next.Failures)), ":until": rfc3339(next.Until), ":errcode": number(int64(next.Errcode)), ":action": text(next.Action),
			":reauthorize": &types.AttributeValueMemberBOOL{Value: next.Reauthorize},
			":ticket":      number(next.TicketTime), ":platform": text(next.PlatformVersion), ":token": text(next.TokenVersion),
			":published": rfc3339(next.PublishedAt), ":publishedErrcode": number(int64(next.PublishedErrcode)),
			":next": number(read.revision + 1), ":expires": number(s.table.now().Add(waitRetention).Unix()),
		},
	}
	if read.revision != 0 {
		u.condition = "revision = :read"
		u.values[":read"] = number(read.revision)
	}
	return u
}

// NoteAuthorizationFailure records that the failure of an authorization, by a push of that time, was published. first is
// false if that was recorded before.
func (t Table) NoteAuthorizationFailure(ctx context.Context, appID string, createTime int64) (first bool, err error) {
	_, first, err = t.update(ctx, update{
		pk: authorizationPK, sk: fmt.Sprintf("%s#%d", appID, createTime),
		change: "SET published_at = :now, expires = :expires", condition: "attribute_not_exists(pk)",
		values: item{":now": rfc3339(t.now()), ":expires": number(t.now().Add(waitRetention).Unix())},
	})
	return first, err
}
