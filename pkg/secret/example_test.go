package secret_test

import (
	"encoding/json"
	"fmt"

	"wechat-draftbox/pkg/secret"
)

func Example() {
	record := struct {
		AppID string
		Token secret.Value
	}{"wx0000000000000001", secret.New("84_hidden")}

	fmt.Printf("%+v\n", record)
	text, _ := json.Marshal(record)
	fmt.Println(string(text))
	fmt.Println(record.Token.Reveal()) // for a request to WeChat or AWS, and nothing else
	// Output:
	// {AppID:wx0000000000000001 Token:REDACTED}
	// {"AppID":"wx0000000000000001","Token":"REDACTED"}
	// 84_hidden
}
