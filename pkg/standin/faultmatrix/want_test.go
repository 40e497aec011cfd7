package faultmatrix

import (
	"bytes"
	"fmt"
	"strconv"
)

// want is an expected result: a word for the table, and a check.
type want struct {
	word  string
	check func(reply) error
}

func itoa(n int) string { return strconv.Itoa(n) }

// status is a response with an HTTP status and these body fields.
func status(code int, fields ...any) want {
	return want{itoa(code), func(r reply) error {
		got, _, body := r.answer()
		if got != code {
			return fmt.Errorf("status %d", got)
		}
		return holds(body, fields)
	}}
}

// statuses are the contract's statuses of problems.
var statuses = map[string]int{
	"not-granted": 403, "unknown-account": 404, "opening-under-way": 409, "library-full": 409, "interface-retired": 410, "quota-exceeded": 429,
	"misconfigured": 500, "token-rejected": 502, "egress-ip-not-whitelisted": 502, "wechat-unreachable": 502,
	"bad-upstream-answer": 502, "wechat-busy": 503, "aws-unavailable": 503, "wechat-timeout": 504,
}

// problem is a problem response with this slug and WeChat's errcode.
func problem(slug string, errcode int) want {
	code := statuses[slug]
	return want{itoa(code) + " " + slug, func(r reply) error {
		got, header, body := r.answer()
		switch said, _ := body["wechat"].(map[string]any); {
		case got != code || body["type"] != "urn:wechat-draftbox:"+slug || body["status"] != float64(code):
			return fmt.Errorf("status %d, type %v", got, body["type"])
		case header.Get("Content-Type") != "application/problem+json":
			return fmt.Errorf("Content-Type %q", header.Get("Content-Type"))
		case body["request_id"] == "" || body["request_id"] != header.Get("X-Request-Id") || body["action"] == "" || body["detail"] == "":
			return fmt.Errorf("request_id, action or detail is missing")
		case errcode != 0 && said["errcode"] != float64(errcode):
			return fmt.Errorf("wechat %v", said)
		case slug == "egress-ip-not-whitelisted" && body["egress_ip"] != address:
			return fmt.Errorf("egress_ip %v", body["egress_ip"])
		case (slug == "quota-exceeded" || slug == "wechat-busy") && header.Get("Retry-After") == "":
			return fmt.Errorf("no Retry-After")
		}
		return nil
	}}
}

// success is the response that WeChat expects.
var success = want{"200", func(r reply) error {
	if got, _, _ := r.answer(); got != 200 || !bytes.Contains(r.payload, []byte(`"body":"success"`)) {
		return fmt.Errorf("status %d", got)
	}
	return nil
}}

// functionError is an error of the function, so that Lambda counts and retries it.
var functionError = want{"error", func(r reply) error {
	if !r.failed {
		return fmt.Errorf("a result: %s", r.payload)
	}
	return nil
}}

// done is a result with these fields.
func done(word string, fields ...any) want {
	return want{word, func(r reply) error {
		if r.failed {
			return fmt.Errorf("a function error")
		}
		return holds(r.result(), fields)
	}}
}

// notDone is a run that did nothing and doesn't claim otherwise: a function error, or a result with a count of 0.
func notDone(count string) want {
	return want{"not done", func(r reply) error {
		if r.failed {
			return nil
		}
		return holds(r.result(), []any{count, 0})
	}}
}

// again is a batch whose one message is retried; finished is one whose message is not.
var (
	again    = batch("comes again", 1)
	finished = batch("done", 0)
)

func batch(word string, failures int) want {
	return want{word, func(r reply) error {
		if all, ok := r.result()["batchItemFailures"].([]any); r.failed || !ok || len(all) != failures {
			return fmt.Errorf("not %d batchItemFailures", failures)
		}
		return nil
	}}
}

// either accepts one of two results, where the remaining time decides.
func either(a, b want) want {
	return want{a.word + " or " + b.word, func(r reply) error {
		err := a.check(r)
		if err != nil && b.check(r) == nil {
			return nil
		}
		return err
	}}
}

// holds compares fields, given as names and values.
func holds(all map[string]any, fields []any) error {
	for i := 0; i+1 < len(fields); i += 2 {
		if name := fields[i].(string); fmt.Sprint(all[name]) != fmt.Sprint(fields[i+1]) {
			return fmt.Errorf("%s is %v, not %v", name, all[name], fields[i+1])
		}
	}
	return nil
}
