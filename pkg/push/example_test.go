package push_test

import (
	"fmt"
	"net/url"
	"strings"

	"wechat-draftbox/pkg/push"
	"wechat-draftbox/pkg/secret"
)

// A ticket, pushed to a platform whose message token is AAAAA and whose key is 43 times A.
func ExampleReceiver_Open() {
	receiver, err := push.NewReceiver("wx134c8103faa5a59e", secret.New("AAAAA"), secret.New(strings.Repeat("A", 43)), secret.Value{})
	if err != nil {
		fmt.Println(err)
		return
	}
	query := url.Values{
		"timestamp": {"1413192605"}, "nonce": {"100000001"}, "encrypt_type": {"aes"},
		"msg_signature": {"21a69ed9cd38ded7002b425a29c76e29039389fb"},
	}
	body := `<xml><AppId><![CDATA[wx134c8103faa5a59e]]></AppId><Encrypt><![CDATA[` +
		`tLUFASCuOPb02nokMfxL1+LqUZox3RcJGfN89qzgNBP07uGv/RKadHqMMNrvkGsKVYprgN5se5y6Wk4kRQh1rxtbH8LA0+NorRqzXCb8z38kX6Lual8YFmH/` +
		`5inTuEW8xue3iOJC8kLnxHU1y6Lp2XYHt6CPLRFyoWdzJloVppogDUVxd08Q+GttSKcCRcoHK+qfPoWtVvo9erbd4qrkVT8c/cuj/yiDLe9Ik4F+nkcgd75IXNXYl83` +
		`sncuhZaSUc/Ane51Cv132aHF3RCBCDy+eY2rs8KzXA7uyBdxI9xcj0Ts7mzZWw4mMOv2b54qepZvinQ6VeFg/H9hWDLJFgw==` +
		`]]></Encrypt></xml>`
	p, err := receiver.Open(query, []byte(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.InfoType, p.CreateTime, p.Ticket)
	// Output:
	// component_verify_ticket 1413192605 REDACTED
}
