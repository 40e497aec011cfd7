// Command probe is the Lambda that the tests of this package run: it does what
// its event asks for.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do  string `json:"do"`
	For int    `json:"for_ms"`
}

type answer struct {
	PID       int    `json:"pid"`
	Env       string `json:"env"`
	ARN       string `json:"arn"`
	RequestID string `json:"request_id"`
	LeftMS    int64  `json:"left_ms"`
	Inherited string `json:"inherited"`
	Text      string `json:"text,omitempty"`
}

func main() {
	switch os.Getenv("AT_START") {
	case "exit":
		fmt.Fprintln(os.Stderr, "LOG_LEVEL: shout is no level")
		os.Exit(1)
	case "panic":
		panic("nothing works")
	case "report":
		post("init/error", `{"errorType":"Runtime.Broken","errorMessage":"no handler"}`)
		os.Exit(1)
	}
	lambda.Start(handle)
}

// post calls the Runtime API past the library and returns the status.
func post(path, body string) string {
	url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/" + path
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	resp.Body.Close()
	return resp.Status
}

func handle(ctx context.Context, e event) (answer, error) {
	switch e.Do {
	case "sleep":
		fmt.Println("sleeping")
		time.Sleep(time.Duration(e.For) * time.Millisecond)
	case "fail":
		return answer{}, errors.New("the handler says no")
	case "panic":
		panic("the handler panics")
	case "exit":
		fmt.Fprint(os.Stderr, "half a word\nlast words")
		os.Exit(3)
	case "big":
		return answer{Text: strings.Repeat("x", 7<<20)}, nil
	}
	text := ""
	if e.Do == "stray" {
		text = post("invocation/nobody/response", `{}`)
	}
	fmt.Println("handled " + e.Do)
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return answer{
		PID:       os.Getpid(),
		Env:       os.Getenv("GREETING"),
		ARN:       lc.InvokedFunctionArn,
		RequestID: lc.AwsRequestID,
		LeftMS:    time.Until(deadline).Milliseconds(),
		Inherited: os.Getenv("HOME"),
		Text:      text,
	}, nil
}
