package wechat

import (
	"testing"

	"go.uber.org/goleak"
)

// No goroutine may outlive its test, but for a dial that net/http goes on with when its request has ended: for 3 seconds
// at most, and with nothing of the request.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*Transport).dialConnFor"))
}
