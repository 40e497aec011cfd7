// Command tokens does the one thing that the tests of the local run need of the
// function of this name: it asks WeChat to push tickets.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(_ context.Context, event struct{ Task string }) error {
		fmt.Println("task", event.Task)
		response, err := http.Post(os.Getenv("WECHAT_API_BASE_URL")+"/cgi-bin/component/api_start_push_ticket", "application/json",
			strings.NewReader(`{"component_appid":"wxc0ffee0000000001","component_secret":"9f86d081884c7d659a2feaa0c55ad015"}`))
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
}
