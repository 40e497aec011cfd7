// Command tokens does the one thing that the tests of the local run need of the
// function of this name: it asks WeChat to push tickets, and has a token from the
// second run on.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	runs := 0
	lambda.Start(func(_ context.Context, event struct{ Task string }) (any, error) {
		fmt.Println("task", event.Task)
		response, err := http.Post(os.Getenv("WECHAT_API_BASE_URL")+"/cgi-bin/component/api_start_push_ticket", "application/json",
			strings.NewReader(`{"component_appid":"wxc0ffee0000000001","component_secret":"9f86d081884c7d659a2feaa0c55ad015"}`))
		if err != nil {
			return nil, err
		}
		if runs++; runs == 1 {
			return json.RawMessage(`{"failures": [{"appid": ""}]}`), response.Body.Close()
		}
		return json.RawMessage(`{"failures": [{"appid": "wx0000000000000004"}]}`), response.Body.Close()
	})
}
