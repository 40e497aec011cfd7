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

// Whatever comes between the read and the write, or between a write whose answer was lost and its repeat, the newest
// ticket stays.
func TestNewestStaysWhateverComesBetween(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		before  int64 // 0: nothing was there
		between []int64
		want    int64
	}{
		{2, nil, 5}, {2, []int64{1}, 5}, {2, []int64{9}, 9}, {2, []int64{1, 9}, 9}, {2, []int64{8, 9}, 9},
		{0, nil, 5}, {0, []int64{1}, 5}, {0, []int64{9}, 9}, {0, []int64{1, 9}, 9},
		{5, nil, 5}, {7, nil, 7},
	} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%+v, lost %v", test, lost), func(t *testing.T) {
				t.Parallel()
				aws, tickets := newest(t)
				if test.before > 0 {
					put(aws, test.before)
				}
				if lost {
					aws.Fail("ssm:PutParameter", awstest.DropAfter())
				}
				aws.Fail("ssm:PutParameter", awstest.Before(func() {
					for _, at := range test.between {
						put(aws, at)
					}
				}))
				if err := tickets.Store(t.Context(), made(5)); err != nil {
					t.Fatal(err)
				}
				if got, err := tickets.Load(t.Context()); err != nil || got.CreateTime != test.want {
					t.Errorf("the ticket of %d stays (%v)", got.CreateTime, err)
				}
			})
		}
	}
}

func TestKeysOfOthersSurvive(t *testing.T) {
	t.Parallel()
	aws, tickets := newest(t)
	aws.SetSecureParameter(name, `{"ticket":"ticket@@@2","create_time":2,"note":"<ours>"}`)
	if err := tickets.Store(t.Context(), made(5)); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := aws.Parameter(name); got != `{"create_time":5,"note":"<ours>","ticket":"ticket@@@5"}` {
		t.Errorf("stored: %s", got)
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
