package ticket_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/ticket"
)

const name = "/p/component-verify-ticket"

func newStore(t *testing.T) (*awstest.Server, ticket.Store) {
	t.Helper()
	aws := awstest.New()
	server := httptest.NewServer(aws)
	t.Cleanup(server.Close)
	return aws, ticket.NewStore(ssm.NewFromConfig(aws.Config(server.URL)), "/p", "")
}

func madeAt(at int64) ticket.Ticket {
	return ticket.Ticket{Text: secret.New(fmt.Sprint("ticket@@@", at)), CreateTime: at}
}

func TestStore(t *testing.T) {
	t.Parallel()
	const stored = `{"ticket":"ticket@@@%d","create_time":%[1]d}`
	for _, test := range []struct {
		name, before, after string // what the parameter holds; empty: there is none
	}{
		{"the first", "", fmt.Sprintf(stored, 5)},
		{"over an older one", fmt.Sprintf(stored, 2), fmt.Sprintf(stored, 5)},
		{"the same again", fmt.Sprintf(stored, 5), fmt.Sprintf(stored, 5)},
		{"another one of the same second", `{"ticket":"other","create_time":5}`, `{"ticket":"other","create_time":5}`},
		{"over a newer one", fmt.Sprintf(stored, 7), fmt.Sprintf(stored, 7)},
		{"over nonsense", "nonsense", fmt.Sprintf(stored, 5)},
		{"over no ticket", `{"note":1}`, fmt.Sprintf(stored, 5)},
		{"keys of others", `{"ticket":"ticket@@@2","create_time":2,"note":"<ours>"}`, `{"create_time":5,"note":"<ours>","ticket":"ticket@@@5"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			aws, store := newStore(t)
			if test.before != "" {
				aws.SetSecureParameter(name, test.before)
			}
			aws.Fail("ssm:PutParameter", awstest.DropAfter()) // a lost answer changes nothing
			if err := store.Store(t.Context(), madeAt(5)); err != nil {
				t.Fatal(err)
			}
			got, _, _ := aws.Parameter(name)
			if diff := cmp.Diff(decoded(test.after), decoded(got)); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			if unchanged, writes := test.before == test.after, aws.Calls("ssm:PutParameter"); unchanged && writes > 0 {
				t.Errorf("%d writes", writes)
			}
		})
	}
}

// decoded is the text as JSON, where it is some, whatever the order of its keys.
func decoded(text string) any {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		return text
	}
	return value
}

func TestLoad(t *testing.T) {
	t.Parallel()
	aws, store := newStore(t)
	if _, err := store.Load(t.Context()); !errors.Is(err, ticket.ErrNone) {
		t.Errorf("without a ticket: %v", err)
	}
	aws.SetSecureParameter(name, `{"ticket":"ticket@@@7","create_time":7}`)
	got, err := store.Load(t.Context())
	if err != nil || got.Text.Reveal() != "ticket@@@7" || got.CreateTime != 7 {
		t.Errorf("ticket of %d (%v)", got.CreateTime, err)
	}
	if age := got.Age(time.Unix(67, 0)); age != time.Minute {
		t.Errorf("age %v", age)
	}
	for _, bad := range []string{"x", "{}", `{"ticket":""}`, `{"ticket":1}`, `{"ticket":"84_hidden","create_time":"x"}`} {
		aws.SetSecureParameter(name, bad)
		var malformed *awserror.MalformedError
		if _, err := store.Load(t.Context()); !errors.As(err, &malformed) || err.Error() != name+" is malformed: it holds no ticket" {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for op, kinds := range map[string]map[awserror.Kind]awstest.Fault{
		"ssm:GetParameter": {awserror.Denied: awstest.Deny(), awserror.Unavailable: awstest.Throttle().Sticky()},
		"ssm:PutParameter": {awserror.Denied: awstest.Deny(), awserror.Unavailable: awstest.Refuse("InternalServerError", 500).Sticky()},
	} {
		for kind, fault := range kinds {
			aws, store := newStore(t)
			aws.SetSecureParameter(name, `{"ticket":"84_hidden","create_time":1}`)
			aws.Fail(op, fault)
			if err := store.Store(t.Context(), madeAt(5)); !awserror.Is(err, kind) || strings.Contains(err.Error(), "ticket@@@") {
				t.Errorf("%s: %v", op, err)
			}
			if got, _, _ := aws.Parameter(name); !strings.Contains(got, "84_hidden") {
				t.Errorf("%s: the ticket was replaced by %s", op, got)
			}
		}
	}
}
