package ticket_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
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
	client := ssm.NewFromConfig(aws.Config(server.URL), func(o *ssm.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
	})
	return aws, ticket.In(parameter.New(client, "/p"))
}

func made(at int64) ticket.Ticket {
	return ticket.Ticket{Text: secret.New(fmt.Sprint("ticket@@@", at)), CreateTime: at}
}

func put(aws *awstest.Server, at int64) {
	aws.SetSecureParameter(name, fmt.Sprintf(`{"ticket":"ticket@@@%d","create_time":%d}`, at, at))
}

// Whatever others store between the read and the write, or between a write whose answer was lost and its repeat, the
// newest ticket stays.
func TestNewestStaysWhateverComesBetween(t *testing.T) {
	t.Parallel()
	for _, others := range [][]int64{nil, {1}, {9}, {8, 9}, {9, 9}} {
		for _, stored := range []int64{0, 2, 5, 7} {
			for _, lost := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v over %d, lost %t", others, stored, lost), func(t *testing.T) {
					t.Parallel()
					aws, tickets := newest(t)
					if stored > 0 {
						put(aws, stored)
					}
					meanwhile := awstest.Before(func() {
						for _, at := range others {
							put(aws, at)
						}
					})
					if lost {
						aws.Fail("ssm:PutParameter", awstest.DropAfter())
					}
					aws.Fail("ssm:PutParameter", meanwhile)
					if err := tickets.Store(t.Context(), made(5)); err != nil {
						t.Fatal(err)
					}
					want := max(5, stored)
					if stored < 5 { // or else nothing is written, and nothing comes between
						want = slices.Max(append(others, want))
					}
					if got, err := tickets.Load(t.Context()); err != nil || got.CreateTime != want {
						t.Errorf("the ticket of %d stays (%v), want that of %d", got.CreateTime, err, want)
					}
				})
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
