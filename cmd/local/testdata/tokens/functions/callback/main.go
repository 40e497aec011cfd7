// Command callback takes every push.
package main

import "github.com/aws/aws-lambda-go/lambda"

func main() {
	lambda.Start(func(event struct{ RouteKey, RawQueryString, Body string }) (map[string]any, error) {
		if event.Body == "" || event.RawQueryString == "" {
			return map[string]any{"statusCode": 400}, nil
		}
		return map[string]any{"statusCode": 200, "body": "success"}, nil
	})
}
