package wechat

import (
	"strings"
	"sync"
	"testing"
	"time"

	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/wechattest"
)

// twoHosts are two base URLs of one WeChat, a client of them with a clock, and what each base URL was asked.
type twoHosts struct {
	first, second *wechattest.Server
	client        *Client
	token         secret.Value // works on both
	clock         *testClock
}

type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newTwoHosts(t *testing.T) twoHosts {
	t.Helper()
	h := twoHosts{first: wechattest.New(wechattest.WithExample()), second: wechattest.New(wechattest.WithExample()),
		clock: &testClock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, token: awkward}
	for _, server := range []*wechattest.Server{h.first, h.second} { // any token will do
		server.Fail(wechattest.PathDraftList, wechattest.Raw(`{"errcode":0,"draft_list":[]}`).Always())
		server.Fail(wechattest.PathSwitch, wechattest.Raw(`{"errcode":0,"is_open":0}`).Always())
	}
	h.client = newClient(t, []string{serve(t, h.first), serve(t, h.second)}, WithClock(h.clock.Now))
	return h
}

// sicken makes the first base URL answer everything with a fault.
func (h twoHosts) sicken(fault wechattest.Fault) {
	h.first.Heal("")
	h.first.Fail("", fault.Always())
}

func (h twoHosts) list(t *testing.T, first, second int) {
	t.Helper()
	before := [2]int{h.first.Calls(""), h.second.Calls("")}
	_, err := h.client.DraftList(t.Context(), h.token)
	if got := [2]int{h.first.Calls("") - before[0], h.second.Calls("") - before[1]}; err != nil || got != [2]int{first, second} {
		t.Errorf("%v: asked %v times, want %d and %d", err, got, first, second)
	}
}

func TestABaseURLWithABadGatewayIsLeftForTheNext(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]wechattest.Fault{
		"502":              wechattest.Status(502, ""),
		"503":              wechattest.Status(503, ""),
		"504":              wechattest.Status(504, ""),
		"502 with nothing": wechattest.Status(502, "\n"),
		"503 with a list":  wechattest.Status(503, "[]"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTwoHosts(t)
			h.sicken(fault)
			for range 3 {
				h.list(t, 1, 1)
			}
			h.list(t, 0, 1) // it was so three times in a row
			h.clock.advance(time.Minute - time.Nanosecond)
			h.list(t, 0, 1)
			h.clock.advance(time.Nanosecond)
			h.list(t, 1, 1) // tried again, and no better
			h.list(t, 0, 1)

			h.first.Heal("")
			h.first.Fail(wechattest.PathDraftList, wechattest.Raw(`{"errcode":0,"draft_list":[]}`).Always())
			h.clock.advance(time.Minute)
			h.list(t, 1, 0)
			h.sicken(fault)
			h.list(t, 1, 1) // the count began anew
			h.list(t, 1, 1)
			h.list(t, 1, 1)
			h.list(t, 0, 1)
		})
	}
}

func TestAnswersOfWeChatKeepABaseURL(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]wechattest.Fault{
		"500":                  wechattest.Status(500, ""),
		"502 with an object":   wechattest.Status(502, `{"errcode":-1}`),
		"503 with GBK":         wechattest.Status(503, "{\"errcode\":-1,\"errmsg\":\"\xbb\x5c\"}\x00"),
		"busy":                 wechattest.Refuse(-1),
		"HTML with status 200": wechattest.Raw("<html></html>"),
	} {
		h := newTwoHosts(t)
		h.sicken(fault)
		for range 4 {
			h.client.DraftList(t.Context(), h.token)
		}
		if n := h.second.Calls(""); n != 0 {
			t.Errorf("%s: the second was asked %d times", name, n)
		}
	}
}

func TestAWriteGoesToOneBaseURL(t *testing.T) {
	t.Parallel()
	h := newTwoHosts(t)
	h.sicken(wechattest.Status(502, ""))
	open := func(first, second int) error {
		t.Helper()
		err := NewSwitchOpener(h.client).OpenDraftSwitch(t.Context(), h.token)
		if h.first.OpenCalls() != first || h.second.OpenCalls() != second {
			t.Errorf("%d opening calls to the first, %d to the second", h.first.OpenCalls(), h.second.OpenCalls())
		}
		return err
	}
	if err := open(1, 0); !IsOutcomeUnknown(err) {
		t.Errorf("opening: %v", err)
	}
	if err := open(1, 1); err != nil { // what is sent once avoids what failed last
		t.Errorf("opening: %v", err)
	}
	h.list(t, 1, 1)
	h.first.Heal("")
	h.first.Fail("", wechattest.Raw(`{"errcode":0,"draft_list":[]}`).Always())
	h.list(t, 1, 0)
	if err := open(2, 1); err != nil {
		t.Errorf("opening: %v", err)
	}
}

func TestSickBaseURLsAreUsedWhereThereIsNoOther(t *testing.T) {
	t.Parallel()
	t.Run("one", func(t *testing.T) {
		t.Parallel()
		wechat, c, component, _ := simulated(t)
		wechat.Fail("", wechattest.Status(502, "").Times(4))
		if _, err := c.DraftList(t.Context(), component); err == nil || wechat.Calls("") != 3 {
			t.Errorf("%v after %d tries", err, wechat.Calls(""))
		}
		if _, err := c.DraftList(t.Context(), component); err != nil || wechat.Calls("") != 5 {
			t.Errorf("%v after %d tries", err, wechat.Calls(""))
		}
	})
	t.Run("two", func(t *testing.T) {
		t.Parallel()
		h := newTwoHosts(t)
		h.sicken(wechattest.Status(502, ""))
		h.second.Heal("")
		h.second.Fail("", wechattest.Status(504, "").Always())
		for _, want := range [][2]int{{2, 1}, {4, 2}, {5, 4}} { // by the third call the first is avoided
			_, err := h.client.DraftList(t.Context(), h.token)
			if err == nil || !strings.Contains(err.Error(), "HTTP status 50") || h.first.Calls("") != want[0] || h.second.Calls("") != want[1] {
				t.Errorf("%v: asked %d and %d times, want %v", err, h.first.Calls(""), h.second.Calls(""), want)
			}
		}
	})
	t.Run("the other can't be connected to", func(t *testing.T) {
		t.Parallel()
		wechat, _, component, _ := simulated(t)
		c := newClient(t, []string{serve(t, wechat), nowhere(t)})
		wechat.Fail("", wechattest.Status(502, ""), wechattest.Status(502, ""))
		if _, err := c.DraftList(t.Context(), component); err != nil || wechat.Calls("") != 3 {
			t.Errorf("%v after %d requests", err, wechat.Calls(""))
		}
	})
}

func TestBaseURLsAreAvoidedByManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	h := newTwoHosts(t)
	h.sicken(wechattest.Status(503, ""))
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			if _, err := h.client.DraftList(t.Context(), h.token); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	h.list(t, 0, 1)
}
