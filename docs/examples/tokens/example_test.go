package tokens_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"wechat-draftbox/docs/examples/tokens"
	"wechat-draftbox/pkg/standin/awstest"
)

// A system of the operator's sends a message with an account's token, which WeChat refuses.
func Example() {
	aws := awstest.New() // in AWS: config.LoadDefaultConfig
	server := httptest.NewServer(aws)
	defer server.Close()
	aws.CreateTable("wechat-draftbox-TokenTable", "appid", "")
	aws.SetItem("wechat-draftbox-TokenTable", map[string]any{"appid": "wx0000000000000001", "access_token": "78_example"})

	token := &tokens.Token{AWS: aws.Config(server.URL), AppID: "wx0000000000000001",
		Prefix: "wechat/draftbox", Table: "wechat-draftbox-TokenTable", Bus: "default"}
	ctx := context.Background()
	value, err := token.Get(ctx)
	fmt.Println(value, err)
	another, err := token.Refused(ctx, value, 40001)
	fmt.Println("another token:", another, err)
	fmt.Println(aws.Events()[0].DetailType, string(aws.Events()[0].Detail))
	// Output:
	// 78_example <nil>
	// another token: false <nil>
	// Token Rejected {"appid":"wx0000000000000001","errcode":40001,"version_id":""}
}
