package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"wechat-draftbox/pkg/standin/runtimeapi"
	"wechat-draftbox/pkg/standin/wechattest"
)

// hotPath is a frequent event and the function that handles it.
type hotPath struct {
	what     string
	function string
	event    func(w *world, n int) string // the n-th
	answer   string                       // part of each response
}

var hotPaths = []hotPath{
	{"push of a ticket", "callback", ticketPush, `"statusCode":200`},
	{"check of a draft switch", "switch", func(*world, int) string {
		return fmt.Sprintf(`{"version": "2.0", "routeKey": "GET /accounts/{appid}/draft-switch", "rawPath": "/accounts/%[1]s/draft-switch",
  "pathParameters": {"appid": "%[1]s"}, "headers": {}, "requestContext": {"http": {"method": "GET", "path": "/accounts/%[1]s/draft-switch"}}}`, firstAccount)
	}, `\"is_open\":false`},
	{"message of the survey's queue", "switch", func(_ *world, n int) string {
		return fmt.Sprintf(`{"Records": [{"messageId": "m-%d", "receiptHandle": "r-%[1]d", "body": "{\"task\": \"check-switch\", \"appid\": \"%s\"}",
  "attributes": {"ApproximateReceiveCount": "1"}, "eventSource": "aws:sqs"}]}`, n, firstAccount)
	}, `"batchItemFailures":[]`},
}

var firstAccount = accountID(0)

// ticketPush is WeChat's push of a new ticket.
func ticketPush(w *world, n int) string {
	p := w.wechat.Platform()
	xml := wechattest.InfoXML(p.AppID, "component_verify_ticket", time.Now(), "ComponentVerifyTicket", fmt.Sprintf("ticket@@@%064d", n))
	query, body := wechattest.EncryptPush(p, xml, strconv.FormatInt(time.Now().Unix(), 10), strconv.Itoa(n), []byte("1234567890abcdef"))
	return fmt.Sprintf(`{"version": "2.0", "routeKey": "POST /wechat/callback", "rawPath": "/wechat/callback", "rawQueryString": %q,
  "headers": {"content-type": "text/xml"}, "body": %q, "requestContext": {"http": {"method": "POST", "path": "/wechat/callback"}}}`, query.Encode(), body)
}

// hotRun is a warm instance that handles a hot path's events.
type hotRun struct {
	path     hotPath
	world    *world
	instance *runtimeapi.Instance
	sent     int
}

func startHot(ctx context.Context, b binaries, path hotPath) (*hotRun, error) {
	binary, err := b.build(ctx, module+"/functions/"+path.function)
	if err != nil {
		return nil, err
	}
	w, err := newWorld(0, 0)
	if err != nil {
		return nil, err
	}
	w.addAccounts(1, secretsManager, 2*time.Hour)
	h := &hotRun{path: path, world: w}
	if h.instance, err = start(ctx, binary, w.env...); err != nil {
		w.close()
		return nil, err
	}
	for range 5 { // warm-up
		if err := h.invoke(ctx); err != nil {
			h.close()
			return nil, err
		}
	}
	return h, nil
}

func (h *hotRun) close() {
	h.instance.Close()
	h.world.close()
}

func (h *hotRun) invoke(ctx context.Context) error {
	h.sent++
	result, err := h.instance.Invoke(ctx, []byte(h.path.event(h.world, h.sent)))
	if err == nil && (result.Error || !bytes.Contains(result.Payload, []byte(h.path.answer))) {
		err = fmt.Errorf("%s: %.500s", h.path.what, result.Payload)
	}
	return err
}

// hot measures the CPU time and the calls of the hot paths, for information.
func hot(ctx context.Context, b *bench, invocations int) (rows []row, err error) {
	for _, path := range hotPaths {
		h, err := startHot(ctx, b.binaries, path)
		if err != nil {
			return nil, err
		}
		defer h.close()
		cpu, wechat, aws := cpuTime(h.instance.PID()), h.world.wechat.Calls(""), h.world.aws.Calls("")
		for range invocations {
			if err := h.invoke(ctx); err != nil {
				return nil, err
			}
		}
		spent := cpuTime(h.instance.PID()) - cpu
		perInvocation := func(what, format string, total float64) row {
			return row{what: path.what + ", " + what, format: format, value: total / float64(invocations)}
		}
		rows = append(rows,
			perInvocation("CPU", "%.2f ms", float64(spent)/float64(time.Millisecond)),
			perInvocation("calls of WeChat", "%.0f", float64(h.world.wechat.Calls("")-wechat)),
			perInvocation("calls of AWS", "%.0f", float64(h.world.aws.Calls("")-aws)))
	}
	return rows, nil
}

// cpuTime is the CPU time used by a process so far, or 0 if unknown.
func cpuTime(pid int) (sum time.Duration) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, name := range threads {
		stat, _ := os.ReadFile(name) // ns on a CPU, ns waiting, timeslices
		onCPU, _, _ := strings.Cut(string(stat), " ")
		ns, _ := strconv.ParseInt(onCPU, 10, 64)
		sum += time.Duration(ns)
	}
	return sum
}
