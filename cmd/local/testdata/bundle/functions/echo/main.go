// Command echo is the Lambda that the tests of the local run serve. It answers
// a request with its event, fails where it is told to, and prints what else it
// is invoked with.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

type event struct {
	RawPath string `json:"rawPath"`
	Body    string `json:"body"`
	Records []struct {
		MessageID string `json:"messageId"`
		Body      string `json:"body"`
	} `json:"Records"`
}

func main() { lambda.Start(handle) }

func handle(_ context.Context, raw json.RawMessage) (any, error) {
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	if e.Records != nil {
		return batch(e), nil
	}
	if e.RawPath == "" {
		fmt.Printf("invoked with %s\n", raw)
		return map[string]json.RawMessage{"got": raw}, nil
	}
	switch e.Body {
	case "fail":
		return nil, errors.New("told to fail")
	case "exit":
		os.Exit(1)
	case "hang":
		time.Sleep(time.Minute)
	case "nonsense":
		return map[string]any{"statusCode": 9000}, nil
	case "bare":
		return map[string]any{"plain": true}, nil
	case "environment":
		all, err := json.Marshal(os.Environ())
		return answer(string(all)), err
	}
	return answer(string(raw)), nil
}

func answer(body string) map[string]any {
	return map[string]any{
		"statusCode": 201,
		"headers":    map[string]string{"content-type": "application/json", "etag": `"1"`},
		"cookies":    []string{"a=1", "b=2"},
		"body":       body,
	}
}

// batch takes every message but those that say "no".
func batch(e event) map[string]any {
	type failure struct {
		ID string `json:"itemIdentifier"`
	}
	failed := []failure{}
	for _, r := range e.Records {
		fmt.Printf("message %s\n", r.Body)
		if r.Body == "no" {
			failed = append(failed, failure{r.MessageID})
		}
	}
	return map[string]any{"batchItemFailures": failed}
}
