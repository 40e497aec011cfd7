// Command floor is the least that a Lambda can do for a cached GET /drafts: it parses the event, writes the metrics
// line of drafts and returns its response, both from memory.
//
// ANSWER and LINE name the files that hold them.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

type floor struct{ answer, line []byte }

func (f floor) Invoke(_ context.Context, event []byte) ([]byte, error) {
	var request events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(event, &request); err != nil {
		return nil, err
	}
	if _, err := os.Stdout.Write(f.line); err != nil {
		return nil, err
	}
	return f.answer, nil
}

func main() {
	answer, err := os.ReadFile(os.Getenv("ANSWER"))
	if err != nil {
		log.Fatal(err)
	}
	line, err := os.ReadFile(os.Getenv("LINE"))
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(floor{answer, line})
}
