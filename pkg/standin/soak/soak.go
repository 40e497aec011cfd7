// Package soak runs the functions together under load during an outage of the simulated WeChat, and checks that
// everything recovers without intervention and that WeChat's token calls stayed few.
//
// It all runs in one process and in a [testing/synctest] bubble: connections are in memory and every clock is the
// bubble's, so that two and a half hours take seconds and a time-out costs nothing.
package soak

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/standin/wechattest"
	"wechat-draftbox/pkg/trigger"
)

// Wire wires a function as its main does.
type Wire func(bootstrap.Deps) trigger.Router

// outage is a failure of all of WeChat's calls.
type outage struct {
	name  string
	fault wechattest.Fault
	tries int // of one fetch; only retryable failures are retried
	// overlap is the number of concurrent fetches of the component's token: the schedule, the queue and a rejection
	// don't wait for another's lease when a fetch takes half a minute.
	overlap int
}

var outages = [...]outage{
	{"busy, errcode -1", wechattest.Refuse(-1), 3, 1},
	{"the day's quota, errcode 45009", wechattest.Refuse(45009), 1, 1},
	{"the whitelist, errcode 61004", wechattest.Refuse(61004, "access clientip is not registered requestIP: 198.51.100.154"), 1, 1},
	{"HTTP status 502 with HTML", wechattest.Status(502, "<html><body>502 Bad Gateway</body></html>"), 3, 1},
	{"no answer", wechattest.Hang(), 3, 3},
}

const (
	calm = 30 * time.Minute
	// outageLength is shorter than the hour for which an authorization code is valid: a code that expires during the
	// outage is lost for good.
	outageLength = 45 * time.Minute
	// recovery is the longest wait after a failed fetch, nine minutes, plus the schedule's ten, plus one.
	recovery = 20 * time.Minute
	after    = time.Hour
)

// Run soaks the functions, keyed by folder name, in each outage.
func Run(t *testing.T, functions map[string]Wire) {
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { soak(t, o, functions) })
		})
	}
}

// beijing is the time zone of WeChat's daily quotas.
var beijing = time.FixedZone("Beijing", 8*60*60)

func soak(t *testing.T, o outage, functions map[string]Wire) {
	// The outage ends at midnight in Beijing, as an exhausted quota does.
	now := time.Now().In(beijing)
	midnight := time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, beijing)
	time.Sleep(time.Until(midnight) - calm - outageLength)
	w := newWorld(t, functions, midnight)
	w.load()

	time.Sleep(calm)
	if problems := w.problems(); len(problems) > 0 {
		t.Fatalf("before anything breaks:\n%s", strings.Join(problems, "\n"))
	}
	before := w.tokenCalls()
	w.wechat.Fail("", o.fault.Always())
	w.authorizeInOutage()
	time.Sleep(time.Until(midnight))
	w.wechat.Heal("")

	problems := w.problems()
	if len(problems) == 0 {
		t.Error("nothing was ill during the outage, so that it proves nothing")
	}
	for len(problems) > 0 && time.Since(midnight) < recovery {
		time.Sleep(time.Minute)
		problems = w.problems()
	}
	well := time.Since(midnight)
	if len(problems) > 0 {
		t.Errorf("%v after WeChat recovered:\n%s", well, strings.Join(problems, "\n"))
	}
	time.Sleep(after - well)
	if problems := w.problems(); len(problems) > 0 {
		t.Errorf("an hour after WeChat recovered:\n%s", strings.Join(problems, "\n"))
	}
	calls := w.tokenCalls()
	for path := range calls {
		calls[path] -= before[path]
	}
	w.stop()
	w.report(o, calls, well)
}

const (
	// fetches is the limit for one token, from the start of the outage until an hour after its end: waits of 1, 2, 5
	// and then 9 minutes allow 8 during the outage, and the hour after it needs one.
	fetches = 8 + 1
	// exchanges is the limit for one authorization: after 30 seconds, 1, 2 and 4 minutes, then every 5, and the one
	// that succeeds.
	exchanges = 5 + int(outageLength/(5*time.Minute)) + 1
)

// limits are the maximum numbers of the token calls.
func (w *world) limits(o outage) map[string]int {
	return map[string]int{
		wechattest.PathComponentToken:  o.overlap * fetches * o.tries,
		wechattest.PathAuthorizerToken: len(w.authorizers()) * fetches * o.tries,
		wechattest.PathQueryAuth:       len(w.authorized) * exchanges * o.tries,
		wechattest.PathAuthorizerList:  fetches * o.tries,
	}
}

// report prints the calls of the outage, and fails if there were too many.
func (w *world) report(o outage, calls map[string]int, well time.Duration) {
	var said []string
	limits := w.limits(o)
	for _, path := range tokenPaths {
		name := path[strings.LastIndexByte(path, '/')+1:]
		said = append(said, fmt.Sprintf("%s %d (at most %d)", name, calls[path], limits[path]))
		if calls[path] > limits[path] {
			w.t.Errorf("%s: %d calls of %s, at most %d", o.name, calls[path], name, limits[path])
		}
	}
	fmt.Printf("soak: %s for %v: well %v after its end; %d invocations, %d Token Rejected, %d Token Refresh Failed, %d checks in dead letters; %s\n",
		o.name, outageLength, well, w.invocations.Load(), len(w.events("Token Rejected")), len(w.events("Token Refresh Failed")),
		len(w.aws.Messages(w.letters[1])), strings.Join(said, ", "))
}

var tokenPaths = []string{
	wechattest.PathComponentToken, wechattest.PathAuthorizerToken, wechattest.PathQueryAuth, wechattest.PathAuthorizerList,
}

func (w *world) tokenCalls() map[string]int {
	calls := make(map[string]int)
	for _, path := range tokenPaths {
		calls[path] = w.wechat.Calls(path)
	}
	return calls
}

// authorizers are the accounts that authorised the platform before or during the outage.
func (w *world) authorizers() []string { return slices.Concat(w.accounts, w.authorized) }
