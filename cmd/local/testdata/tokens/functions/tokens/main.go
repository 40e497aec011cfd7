// Command tokens does what the tests of the local run need of the function of
// this name: it has a token from the second run on.
package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	runs := 0
	lambda.Start(func(_ context.Context, event struct{ Task string }) (any, error) {
		fmt.Println("task", event.Task)
		if runs++; runs == 1 {
			return json.RawMessage(`{"failures": [{"appid": ""}]}`), nil
		}
		return json.RawMessage(`{"failures": [{"appid": "wx0000000000000004"}]}`), nil
	})
}
