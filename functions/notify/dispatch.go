package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/robot"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/telemetry"
)

// recordWrites limits concurrent writes of deliveries.
const recordWrites = 10

// dispatcher sends events to the robots that subscribe to them, and records which robot received what.
type dispatcher struct {
	client  *robot.Client
	notices state.Notices
	pauses  *pauses
	metrics *telemetry.Recorder
	log     *slog.Logger
}

// dispatch sends at most one message to each robot, in parallel. It returns the events that a robot didn't accept, by
// id. all has no duplicates.
func (d dispatcher) dispatch(ctx context.Context, robots []robot.Robot, all []Event) map[string]failure {
	var ids []string
	var relevant []Event
	for _, e := range all {
		for _, r := range robots {
			if r.Wants(e.DetailType) {
				ids, relevant = append(ids, e.ID), append(relevant, e)
				break
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	took, err := d.notices.Robots(ctx, ids)
	if err != nil { // sending now could send duplicates
		return allFailed(relevant, err)
	}
	var mu sync.Mutex
	failures := make(map[string]failure)
	var sending sync.WaitGroup
	for _, r := range robots {
		var pending []Event
		for _, e := range subscribed(r, relevant) {
			if !took[e.ID][r.Name] {
				pending = append(pending, e)
			}
		}
		if len(pending) == 0 {
			continue
		}
		sending.Go(func() {
			after, err := d.send(ctx, r, pending)
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, e := range pending {
				failures[e.ID] = failure{errNotTaken, max(after, failures[e.ID].after)}
			}
		})
	}
	sending.Wait()
	return failures
}

// send sends events to one robot and records the delivery. On failure, after is the robot's requested pause.
func (d dispatcher) send(ctx context.Context, r robot.Robot, events []Event) (after time.Duration, err error) {
	if left := d.pauses.remaining(r.Name); left > 0 {
		d.log.InfoContext(ctx, "a robot is paused after too many messages", "robot", r.Name, "notices", len(events), "seconds", int(left/time.Second))
		return left, fmt.Errorf("it is paused for %v", left)
	}
	err = d.client.Send(ctx, r, Compose(r, events))
	var refused *robot.Error
	if errors.As(err, &refused) {
		after = refused.RetryAfter
		d.pauses.set(r.Name, after)
	}
	if err != nil {
		d.metrics.Put(telemetry.NoticeFailures, float64(len(events)))
		d.log.WarnContext(ctx, "a robot rejected its message", "robot", r.Name, "kind", string(r.Kind), "notices", len(events), "error", err.Error())
		return after, err
	}
	d.metrics.Put(telemetry.Notices, float64(len(events)))
	d.record(ctx, r, events)
	return 0, nil
}

// record records that the robot accepted the events. If that fails, the events still count as delivered: at worst the
// robot gets them twice, when another robot has them sent again.
func (d dispatcher) record(ctx context.Context, r robot.Robot, events []Event) {
	// Not bounded by the robots' deadline: a response in the last moment has to be recorded too.
	recording, cancel := context.WithTimeout(context.WithoutCancel(ctx), responseMargin/2)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(recordWrites)
	for _, e := range events {
		group.Go(func() error { return d.notices.Add(recording, e.ID, r.Name) })
	}
	if err := group.Wait(); err != nil {
		d.log.WarnContext(ctx, "could not record what a robot took; it may get the notices again", "robot", r.Name, "error", err.Error())
	}
}

// pauses records until when each rate-limited robot gets no messages. It is per instance.
type pauses struct {
	now func() time.Time

	mu    sync.Mutex
	until map[string]time.Time // by the robot's name, on the wall clock
}

func newPauses(now func() time.Time) *pauses {
	return &pauses{now: now, until: make(map[string]time.Time)}
}

func (p *pauses) remaining(name string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, p.until[name].Sub(p.now().Round(0)))
}

func (p *pauses) set(name string, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d > 0 {
		p.until[name] = p.now().Round(0).Add(d)
	}
}
