package state

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Notices record which chat robots accepted the notice of an event.
type Notices struct{ table Table }

// Notices gives access to the table's notices.
func (t Table) Notices() Notices { return Notices{t} }

const (
	noticePK = "notice"
	// noticeRetention is much longer than a message stays in its queue.
	noticeRetention = 5 * 24 * time.Hour
	// robotAttribute is the prefix of a robot's attribute; the rest is the robot's name.
	robotAttribute = "robot/"
	// maxEventID is the length up to which an event's id is a sort key as it is. DynamoDB's limit is 1024 bytes.
	maxEventID = 256
)

// Robots returns the names of the robots that accepted the notice of each event, by event id. eventIDs must be unique.
func (n Notices) Robots(ctx context.Context, eventIDs []string) (map[string]map[string]bool, error) {
	sks, ids := make([]string, len(eventIDs)), make(map[string]string, len(eventIDs))
	for i, id := range eventIDs {
		sks[i] = noticeSK(id)
		ids[sks[i]] = id
	}
	items, err := n.table.batchGet(ctx, noticePK, sks)
	if err != nil {
		return nil, fmt.Errorf("read who took the notices: %w", err)
	}
	robots := make(map[string]map[string]bool, len(items))
	for _, i := range items {
		accepted := make(map[string]bool)
		for attribute := range i {
			if robot, ok := strings.CutPrefix(attribute, robotAttribute); ok {
				accepted[robot] = true
			}
		}
		robots[ids[textOf(i, "sk")]] = accepted
	}
	return robots, nil
}

// Add records that a robot accepted the notice of an event. It is idempotent.
func (n Notices) Add(ctx context.Context, eventID, robot string) error {
	now := n.table.now().Round(0)
	_, _, err := n.table.update(ctx, update{
		pk: noticePK, sk: noticeSK(eventID), change: "SET #robot = :at, expires = :expires",
		names:  map[string]string{"#robot": robotAttribute + robot},
		values: item{":at": rfc3339(now), ":expires": number(now.Add(noticeRetention).Unix())},
	})
	if err != nil {
		return fmt.Errorf("record who took a notice: %w", err)
	}
	return nil
}

func noticeSK(eventID string) string {
	if len(eventID) <= maxEventID {
		return eventID
	}
	sum := sha256.Sum256([]byte(eventID))
	return hex.EncodeToString(sum[:])
}
