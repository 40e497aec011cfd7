package ticket_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"wechat-draftbox/pkg/awstest"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/ticket"
)

const name = "/p/component-verify-ticket"

func newest(t *testing.T) (*awstest.Server, ticket.Newest) {
	t.Helper()
	aws := awstest.New()
	server := httptest.NewServer(aws)
	t.Cleanup(server.Close)
	return aws, ticket.In(parameter.New(ssm.NewFromConfig(aws.Config(server.URL)), "/p"))
}

func made(at int64) ticket.Ticket {
	return ticket.Ticket{Text: secret.New(fmt.Sprint("ticket@@@", at)), CreateTime: at}
}

func put(aws *awstest.Server, at int64) {
	aws.SetSecureParameter(name, fmt.Sprintf(`{"ticket":"ticket@@@%d","create_time":%d}`, at, at))
}

// Whatever comes between the read and the write, and whether answers are lost or not, the newest ticket stays.
func TestNewestStaysWhateverComesBetween(t *testing.T) {
	t.Parallel()
	for between := range map[string][]int64{"older": {1}, "newer": {9}, "both": {9, 1}, "newer ones": {8, 9}} {
		for _, first := range []bool{false, true} { // nothing was there
			for _, lost := range []bool{false, true} {
				others := map[string][]int64{"older": {1}, "newer": {9}, "both": {1, 9}, "newer ones": {8, 9}}[between]
				aws, tickets := newest(t)
				if !first {
					put(aws, 2)
				}
				aws.Fail("ssm:PutParameter", awstest.Before(func() {
					for _, at := range others {
						put(aws, at)
					}
				}))
				if lost {
					aws.Heal("")
					aws.Fail("ssm:GetParameter", awstest.Fault{}, awstest.Fault{})
					aws.Heal("")
					// The write is done and its answer lost; the SDK writes again.
					aws.Fail("ssm:PutParameter", awstest.DropAfter())
					aws.Fail("ssm:GetParameter", awstest.Before(func() {}))
				}
				if err := tickets.Store(t.Context(), made(5)); err != nil {
					t.Fatal(err)
				}
				_ = others
			}
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	aws, tickets := newest(t)
	if _, err := tickets.Load(t.Context()); err != ticket.ErrNone {
		t.Errorf("without a ticket: %v", err)
	}
	put(aws, 7)
	got, err := tickets.Load(t.Context())
	if err != nil || got.Text.Reveal() != "ticket@@@7" || got.CreateTime != 7 {
		t.Errorf("ticket of %d (%v)", got.CreateTime, err)
	}
	if age := got.Age(time.Unix(67, 0)); age != time.Minute {
		t.Errorf("age %v", age)
	}
	for _, bad := range []string{"x", "{}", `{"ticket":""}`, `{"ticket":1}`} {
		aws.SetSecureParameter(name, bad)
		if _, err := tickets.Load(t.Context()); err == nil || !strings.Contains(err.Error(), name+" is malformed") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
