package awstest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/awstest"
)

// motoIsWrong lists where moto differs from AWS, and the reason to follow AWS. A key is "case/step" for a whole
// response, or "case/step: field" for one field at any depth. An obsolete entry fails the test.
var motoIsWrong = map[string]string{
	"secret/describe: LastAccessedDate":          "moto notes no access; DescribeSecret has the day",
	"secret/versions: ARN":                       "moto gives the name for the ARN",
	"secret/versions: NextToken":                 "moto gives an empty token where there is no next page",
	"secret/create too long":                     "moto has no limit of 65,536 bytes",
	"secret stages/get without a stage":          "moto keeps answering the former version after UpdateSecretVersionStage moved AWSCURRENT",
	"secret deleted/put deleted":                 "moto writes to a secret that is marked for deletion",
	"secret deleted/create deleted":              "moto names the wrong reason: a secret marked for deletion holds its name by InvalidRequestException",
	"parameter/get version: Selector":            "moto leaves out the selector that was asked for",
	"parameter/put too long":                     "moto has no limit of 4 KB",
	"parameter/put a name without a slash first": "moto takes a hierarchy that is not fully qualified",
	"parameter list/describe: ARN":               "moto leaves the ARN out of DescribeParameters",
	"events/too large":                           "moto has no limit of size",
	"queue/send a control character":             "moto takes characters that XML does not have",
	"dead letters/create with no dead letters":   "moto looks for the queue by its name and says that it does not exist",
	"item/get by a key of another type":          "moto finds nothing where the key is no key",
	"item/describe: TableId":                     "moto gives a table no id",
	"conditions/#s < :ten":                       "moto fails where two types are compared, which is just false",
	"conditions/#s":                              "moto fails at a condition that it can't parse",
	"conditions/#s =":                            "moto fails at a condition that it can't parse",
	"conditions/#s = :open AND":                  "moto fails at a condition that it can't parse",
	"conditions/#s = :open #c = :ten":            "moto fails at a condition that it can't parse",
	"conditions/":                                "moto takes an empty condition",
	"conditions/#s = :unknown":                   "moto fails where a value is missing",
	"conditions/#unknown = :open":                "moto fails where a name is missing",
	"conditions/nosuch(#s)":                      "moto fails at a function that it does not know",
	"conditions/attribute_exists(:a)":            "moto fails at a value in place of a path",
	"conditions/a value too many":                "moto does not miss the use of a value in PutItem",
	"conditions/values for nothing":              "moto does not miss the use of a value in PutItem",
	"updates/if_not_exists, there":               "moto leaves out what an update sets to what it was",
	"updates/make by nothing":                    "moto fails without an UpdateExpression",
	"query/filter by a key":                      "moto filters by key attributes, which AWS refuses",
	"query/a full last page":                     "moto looks whether more follows; AWS ends the page at its Limit and says where",
	"query/no page":                              "moto fails at a Limit of 0",
	"item batch/no keys":                         "moto takes an empty list of keys",
	"transaction/nonsense":                       "moto fails at a condition that it can't parse",
}

// clients are SDK clients for one endpoint.
type clients struct {
	secrets    *secretsmanager.Client
	parameters *ssm.Client
	tables     *dynamodb.Client
	events     *eventbridge.Client
	queues     *sqs.Client
}

func newClients(url string) clients {
	return clientsOf(awstest.New().Config(url))
}

func clientsOf(cfg aws.Config) clients {
	return clients{
		secretsmanager.NewFromConfig(cfg), ssm.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg),
		eventbridge.NewFromConfig(cfg), sqs.NewFromConfig(cfg),
	}
}

// wake calls each service once, in turn: moto loads a service with its first call and fails on concurrent first calls.
func (c clients) wake(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	_, secrets := c.secrets.ListSecrets(ctx, &secretsmanager.ListSecretsInput{})
	_, parameters := c.parameters.DescribeParameters(ctx, &ssm.DescribeParametersInput{})
	_, events := c.events.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{
		{Source: aws.String("contract"), DetailType: aws.String("wake"), Detail: aws.String("{}")},
	}})
	_, queues := c.queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("none")})
	var none *sqstypes.QueueDoesNotExist
	if errors.As(queues, &none) {
		queues = nil
	}
	_, tables := c.tables.ListTables(ctx, &dynamodb.ListTablesInput{})
	if err := errors.Join(secrets, parameters, events, queues, tables); err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	moto := newClients(startMoto(t))
	moto.wake(t)
	server := awstest.New()
	standIn := httptest.NewServer(server)
	t.Cleanup(standIn.Close)
	ours := newClients(standIn.URL)
	createContractTables(t, server, moto)

	var mu sync.Mutex
	ran, needed := make(map[string]bool), make(map[string]bool)
	t.Run("cases", func(t *testing.T) {
		for name, run := range contractCases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				mu.Lock()
				ran[name] = true
				mu.Unlock()
				var want, got journal
				run(ctx, &want, moto)
				run(ctx, &got, ours)
				if len(got.steps) != len(want.steps) {
					t.Errorf("%d steps on the stand-in, %d on moto", len(got.steps), len(want.steps))
				}
				for i := range min(len(got.steps), len(want.steps)) {
					g, w := got.steps[i], want.steps[i]
					key := name + "/" + g.name
					if _, wrong := motoIsWrong[key]; wrong {
						if !cmp.Equal(w.seen, g.seen) {
							mu.Lock()
							needed[key] = true
							mu.Unlock()
						}
						continue
					}
					for wrong := range motoIsWrong {
						if field, ok := strings.CutPrefix(wrong, key+": "); ok {
							if !cmp.Equal(cut(w.seen, field), cut(g.seen, field)) {
								mu.Lock()
								needed[wrong] = true
								mu.Unlock()
							}
						}
					}
					if diff := cmp.Diff(w.seen, g.seen); diff != "" {
						t.Errorf("%s (-moto +stand-in):\n%s", g.name, diff)
					}
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	for key := range motoIsWrong {
		if name, _, _ := strings.Cut(key, "/"); ran[name] && !needed[key] {
			t.Errorf("moto is no longer wrong at %q", key)
		}
	}
}

// cut removes a field at any depth and returns its values.
func cut(v any, field string) (values []any) {
	switch v := v.(type) {
	case map[string]any:
		if value, ok := v[field]; ok {
			values = append(values, value)
			delete(v, field)
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			values = append(values, cut(v[key], field)...)
		}
	case []any:
		for _, element := range v {
			values = append(values, cut(element, field)...)
		}
	}
	return values
}

// A journal records a client's results step by step, with ids and times normalised.
type journal struct {
	steps []step
	ids   map[string]string
}

type step struct {
	name string
	seen map[string]any
}

// see records a response or an error: only its code and type, since nothing depends on AWS's wording.
func (j *journal) see(name string, out any, err error) {
	j.steps = append(j.steps, step{name, j.normal(out, err)})
}

func (j *journal) normal(out any, err error) map[string]any {
	if err != nil {
		seen := map[string]any{"error": err.Error()}
		if api := smithy.APIError(nil); errors.As(err, &api) {
			seen = map[string]any{"code": api.ErrorCode(), "type": fmt.Sprintf("%T", api)}
		}
		return seen
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	var seen map[string]any
	if err := json.Unmarshal(raw, &seen); err != nil {
		return map[string]any{"error": err.Error()}
	}
	delete(seen, "ResultMetadata")
	seen, _ = j.clean(seen).(map[string]any)
	return seen
}

var (
	uuidPattern   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	suffixPattern = regexp.MustCompile(`(:secret:.*)-[A-Za-z0-9]{6}$`)
	timePattern   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d`)
	hostPattern   = regexp.MustCompile(`^https?://[^/]+/\d{12}/`)
	stampPattern  = regexp.MustCompile(`^1[0-9]{9}([0-9]{3})?([.][0-9]+)?$`)
)

// clean normalises two services' values and drops empty ones.
func (j *journal) clean(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			value = j.clean(value)
			switch key {
			case "ReceiptHandle", "NextToken", "LastModifiedUser":
				if value != nil {
					value = "OPAQUE"
				}
			case "Message":
				value = nil // of one entry's error; nobody decides on AWS's wording
			case "VersionStages":
				if stages, ok := value.([]any); ok {
					slices.SortFunc(stages, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
				}
			}
			if s, ok := value.(string); ok && stampPattern.MatchString(s) {
				value = "TIME"
			}
			v[key] = value
			if value == nil || reflect.ValueOf(value).IsZero() {
				delete(v, key)
			}
		}
		if len(v) == 0 {
			return nil
		}
		// Ids are keys too, of a secret's stages.
		for key, value := range v {
			if uuidPattern.MatchString(key) {
				delete(v, key)
				v[j.id(key)] = value
			}
		}
		return v
	case []any:
		if len(v) == 0 {
			return nil
		}
		for i := range v {
			v[i] = j.clean(v[i])
		}
		return v
	case string:
		if timePattern.MatchString(v) {
			return "TIME"
		}
		v = suffixPattern.ReplaceAllString(v, "$1-SUFFIX")
		v = hostPattern.ReplaceAllString(v, "HOST/")
		return uuidPattern.ReplaceAllStringFunc(v, j.id)
	}
	return v
}

// id replaces a known id by its name in the case, and any other by a placeholder.
func (j *journal) id(uuid string) string {
	if name, ok := j.ids[uuid]; ok {
		return name
	}
	return "ID"
}

// know names an id, so that a journal identifies it.
func (j *journal) know(id *string, name string) {
	if j.ids == nil {
		j.ids = make(map[string]string)
	}
	j.ids[aws.ToString(id)] = name
}

var contractCases = map[string]func(ctx context.Context, j *journal, c clients){
	"secret":         secretCase,
	"binary secret":  binarySecretCase,
	"secret stages":  secretStagesCase,
	"secret lists":   secretListsCase,
	"secret deleted": secretDeletedCase,
	"parameter":      parameterCase,
	"parameter path": parameterPathCase,
	"parameter list": parameterListCase,
	"events":         eventsCase,
	"queue":          queueCase,
	"queue batches":  queueBatchesCase,
	"dead letters":   deadLettersCase,
	"item":           itemCase,
	"conditions":     conditionsCase,
	"updates":        updatesCase,
	"query":          queryCase,
	"scan":           scanCase,
	"item batch":     itemBatchCase,
	"transaction":    transactionCase,
}

const (
	token1 = "11111111-1111-4111-8111-111111111111"
	token2 = "22222222-2222-4222-8222-222222222222"
	token3 = "33333333-3333-4333-8333-333333333333"
)

func secretCase(ctx context.Context, j *journal, c clients) {
	sm, id := c.secrets, aws.String("contract/secret")
	get := func(name string, in *secretsmanager.GetSecretValueInput) {
		in.SecretId = id
		out, err := sm.GetSecretValue(ctx, in)
		j.see(name, out, err)
	}
	j.know(aws.String(token1), "token1")
	j.know(aws.String(token2), "token2")

	get("get missing", &secretsmanager.GetSecretValueInput{})
	_, err := sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: id, SecretString: aws.String("x")})
	j.see("put missing", nil, err)
	_, err = sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: id})
	j.see("describe missing", nil, err)

	created, err := sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: id, SecretString: aws.String(`{"a":"1"}`), ClientRequestToken: aws.String(token1), Description: aws.String("d"),
	})
	j.see("create", created, err)
	again, err := sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: id, SecretString: aws.String("other")})
	j.see("create again", again, err)
	get("get", &secretsmanager.GetSecretValueInput{})
	byARN, err := sm.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: created.ARN})
	j.see("get by ARN", byARN, err)

	put, err := sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: id, SecretString: aws.String("two"), ClientRequestToken: aws.String(token2),
	})
	j.see("put", put, err)
	get("get after put", &secretsmanager.GetSecretValueInput{})
	get("get previous", &secretsmanager.GetSecretValueInput{VersionStage: aws.String("AWSPREVIOUS")})
	get("get by version", &secretsmanager.GetSecretValueInput{VersionId: aws.String(token1)})
	get("get by version and stage", &secretsmanager.GetSecretValueInput{VersionId: aws.String(token1), VersionStage: aws.String("AWSPREVIOUS")})
	get("get by version and other stage", &secretsmanager.GetSecretValueInput{VersionId: aws.String(token1), VersionStage: aws.String("AWSCURRENT")})
	get("get no such version", &secretsmanager.GetSecretValueInput{VersionId: aws.String(token3)})
	get("get no such stage", &secretsmanager.GetSecretValueInput{VersionStage: aws.String("NONE")})

	repeated, err := sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: id, SecretString: aws.String("two"), ClientRequestToken: aws.String(token2),
	})
	j.see("put again", repeated, err)
	_, err = sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: id, SecretString: aws.String("three"), ClientRequestToken: aws.String(token2),
	})
	j.see("put another value with the same token", nil, err)
	_, err = sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: id})
	j.see("put nothing", nil, err)

	described, err := sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: id})
	j.see("describe", described, err)
	versions, err := sm.ListSecretVersionIds(ctx, &secretsmanager.ListSecretVersionIdsInput{SecretId: id})
	j.see("versions", versions, err)

	empty := aws.String("contract/secret-empty")
	noValue, err := sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: empty})
	j.see("create without a value", noValue, err)
	_, err = sm.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: empty})
	j.see("get without a value", nil, err)
	long := aws.String(strings.Repeat("x", 65537))
	_, err = sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("contract/secret-long"), SecretString: long})
	j.see("create too long", nil, err)
}

func binarySecretCase(ctx context.Context, j *journal, c clients) {
	id := aws.String("contract/binary")
	created, err := c.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: id, SecretBinary: []byte{0, 1, 254}})
	j.see("create", created, err)
	got, err := c.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: id})
	j.see("get", got, err)
}

func secretStagesCase(ctx context.Context, j *journal, c clients) {
	sm, id := c.secrets, aws.String("contract/stages")
	for i, token := range []string{token1, token2, token3} {
		j.know(aws.String(token), fmt.Sprintf("token%d", i+1))
	}
	move := func(name, stage string, to, from *string) {
		out, err := sm.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: id, VersionStage: aws.String(stage), MoveToVersionId: to, RemoveFromVersionId: from,
		})
		j.see(name, out, err)
		// By name, since moto's response without a stage is stale.
		got, err := sm.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: id, VersionStage: aws.String("AWSCURRENT")})
		j.see("current after "+name, got, err)
		described, err := sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: id})
		if err == nil {
			for _, stages := range described.VersionIdsToStages {
				slices.Sort(stages)
			}
			described = &secretsmanager.DescribeSecretOutput{VersionIdsToStages: described.VersionIdsToStages}
		}
		j.see("stages after "+name, described, err)
	}
	sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: id, SecretString: aws.String("one"), ClientRequestToken: aws.String(token1)})
	put, err := sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: id, SecretString: aws.String("two"), ClientRequestToken: aws.String(token2), VersionStages: []string{"PENDING"},
	})
	j.see("put pending", put, err)
	pending, err := sm.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: id, VersionStage: aws.String("PENDING")})
	j.see("get pending", pending, err)
	move("a move from nowhere", "AWSCURRENT", aws.String(token2), nil)
	move("a move from the wrong version", "AWSCURRENT", aws.String(token2), aws.String(token2))
	move("a move from an unknown version", "AWSCURRENT", aws.String(token2), aws.String(token3))
	move("a move", "AWSCURRENT", aws.String(token2), aws.String(token1))
	move("the same move again", "AWSCURRENT", aws.String(token2), aws.String(token1))
	move("a removal", "PENDING", nil, aws.String(token2))
	got, err := sm.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: id})
	j.see("get without a stage", got, err)
}

func secretListsCase(ctx context.Context, j *journal, c clients) {
	sm := c.secrets
	for _, name := range []string{"contract/list/a", "contract/list/b", "contract/list/c", "contract/other"} {
		sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String(name), SecretString: aws.String("v " + name)})
	}
	filters := []smtypes.Filter{{Key: smtypes.FilterNameStringTypeName, Values: []string{"contract/list/"}}}
	list, err := sm.ListSecrets(ctx, &secretsmanager.ListSecretsInput{Filters: filters})
	j.see("list", list, err)
	first, err := sm.ListSecrets(ctx, &secretsmanager.ListSecretsInput{Filters: filters, MaxResults: aws.Int32(2)})
	j.see("first page", first, err)
	if err == nil {
		second, err := sm.ListSecrets(ctx, &secretsmanager.ListSecretsInput{Filters: filters, MaxResults: aws.Int32(2), NextToken: first.NextToken})
		j.see("second page", second, err)
	}
	batch, err := sm.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{
		SecretIdList: []string{"contract/list/c", "contract/list/none", "contract/list/a"},
	})
	j.see("batch by ids", batch, err)
	batch, err = sm.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{Filters: filters})
	j.see("batch by filter", batch, err)
	_, err = sm.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{Filters: filters, SecretIdList: []string{"contract/list/a"}})
	j.see("batch by both", nil, err)
	_, err = sm.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"contract/list/a"}, MaxResults: aws.Int32(1)})
	j.see("batch by ids with a page", nil, err)
}

func secretDeletedCase(ctx context.Context, j *journal, c clients) {
	sm, id := c.secrets, aws.String("contract/deleted")
	_, err := sm.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: id})
	j.see("delete missing", nil, err)
	sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: id, SecretString: aws.String("one")})
	deleted, err := sm.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: id})
	j.see("delete", deleted, err)
	_, err = sm.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: id})
	j.see("get deleted", nil, err)
	described, err := sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: id})
	j.see("describe deleted", described, err)
	_, err = sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: id, SecretString: aws.String("x")})
	j.see("put deleted", nil, err)
	_, err = sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: id, SecretString: aws.String("x")})
	j.see("create deleted", nil, err)
	forced, err := sm.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: id, ForceDeleteWithoutRecovery: aws.Bool(true)})
	j.see("delete for good", forced, err)
	_, err = sm.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: id})
	j.see("get gone", nil, err)
}

func parameterCase(ctx context.Context, j *journal, c clients) {
	p, name := c.parameters, aws.String("/contract/parameter")
	get := func(label, selected string, decrypt bool) {
		out, err := p.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(selected), WithDecryption: aws.Bool(decrypt)})
		j.see(label, out, err)
	}
	put := func(label string, in *ssm.PutParameterInput) {
		in.Name = name
		out, err := p.PutParameter(ctx, in)
		j.see(label, out, err)
	}
	get("get missing", *name, true)
	put("put without a type", &ssm.PutParameterInput{Value: aws.String("x")})
	put("put nothing", &ssm.PutParameterInput{Value: aws.String(""), Type: ssmtypes.ParameterTypeString})
	put("put", &ssm.PutParameterInput{Value: aws.String("one"), Type: ssmtypes.ParameterTypeString})
	put("put again", &ssm.PutParameterInput{Value: aws.String("two"), Type: ssmtypes.ParameterTypeString})
	put("overwrite", &ssm.PutParameterInput{Value: aws.String("two"), Overwrite: aws.Bool(true)})
	get("get", *name, true)
	get("get version", *name+":1", true)
	get("get no such version", *name+":9", true)
	history, err := p.GetParameterHistory(ctx, &ssm.GetParameterHistoryInput{Name: name})
	j.see("history", history, err)
	tooLong, err := p.PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String("/contract/long"), Value: aws.String(strings.Repeat("x", 4097)), Type: ssmtypes.ParameterTypeString,
	})
	j.see("put too long", tooLong, err)

	secure := aws.String("/contract/secure")
	_, err = p.PutParameter(ctx, &ssm.PutParameterInput{Name: secure, Value: aws.String("hidden"), Type: ssmtypes.ParameterTypeSecureString})
	j.see("put secure", nil, err)
	get("get secure", *secure, true)

	relative := aws.String("contract/relative")
	_, err = p.PutParameter(ctx, &ssm.PutParameterInput{Name: relative, Value: aws.String("x"), Type: ssmtypes.ParameterTypeString})
	j.see("put a name without a slash first", nil, err)
	_, err = p.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/aws/contract"), Value: aws.String("x"), Type: ssmtypes.ParameterTypeString})
	j.see("put a reserved name", nil, err)

	several, err := p.GetParameters(ctx, &ssm.GetParametersInput{Names: []string{*name, "/contract/none", *secure}, WithDecryption: aws.Bool(true)})
	if err == nil { // their order is not promised
		slices.SortFunc(several.Parameters, func(a, b ssmtypes.Parameter) int { return strings.Compare(*a.Name, *b.Name) })
	}
	j.see("several", several, err)
	_, err = p.GetParameters(ctx, &ssm.GetParametersInput{Names: strings.Split("a b c d e f g h i j k", " ")})
	j.see("eleven", nil, err)

	deleted, err := p.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: name})
	j.see("delete", deleted, err)
	_, err = p.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: name})
	j.see("delete again", nil, err)
	get("get deleted", *name, true)
	_, err = p.GetParameterHistory(ctx, &ssm.GetParameterHistoryInput{Name: name})
	j.see("history of deleted", nil, err)
}

func parameterPathCase(ctx context.Context, j *journal, c clients) {
	p := c.parameters
	p.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/contract/path/b/deep"), Value: aws.String("deep"), Type: ssmtypes.ParameterTypeString})
	for i := range 12 {
		p.PutParameter(ctx, &ssm.PutParameterInput{
			Name: aws.String(fmt.Sprintf("/contract/path/p%02d", i)), Value: aws.String(fmt.Sprint(i)), Type: ssmtypes.ParameterTypeString,
		})
	}
	p.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/contract/path/z/deep"), Value: aws.String("deep"), Type: ssmtypes.ParameterTypeString})
	p.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/contract/pathology"), Value: aws.String("no"), Type: ssmtypes.ParameterTypeString})
	for _, recursive := range []bool{false, true} {
		in := &ssm.GetParametersByPathInput{Path: aws.String("/contract/path"), Recursive: aws.Bool(recursive), WithDecryption: aws.Bool(true)}
		for page := 1; page < 5; page++ {
			out, err := p.GetParametersByPath(ctx, in)
			j.see(fmt.Sprintf("recursive %v, page %d", recursive, page), out, err)
			if err != nil || out.NextToken == nil {
				break
			}
			in.NextToken = out.NextToken
		}
	}
	none, err := p.GetParametersByPath(ctx, &ssm.GetParametersByPathInput{Path: aws.String("/contract/nowhere")})
	j.see("nothing there", none, err)
	_, err = p.GetParametersByPath(ctx, &ssm.GetParametersByPathInput{Path: aws.String("/contract/path"), MaxResults: aws.Int32(11)})
	j.see("a page of eleven", nil, err)
}

func parameterListCase(ctx context.Context, j *journal, c clients) {
	p := c.parameters
	p.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/contract/list/a"), Value: aws.String("a"), Type: ssmtypes.ParameterTypeString})
	p.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/contract/list/b"), Value: aws.String("b"), Type: ssmtypes.ParameterTypeSecureString, Tier: ssmtypes.ParameterTierAdvanced})
	out, err := p.DescribeParameters(ctx, &ssm.DescribeParametersInput{ParameterFilters: []ssmtypes.ParameterStringFilter{
		{Key: aws.String("Name"), Option: aws.String("BeginsWith"), Values: []string{"/contract/list/"}},
	}})
	j.see("describe", out, err)
}

func eventsCase(ctx context.Context, j *journal, c clients) {
	put := func(name string, entries ...ebtypes.PutEventsRequestEntry) {
		out, err := c.events.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: entries})
		j.see(name, out, err)
	}
	entry := func(source, detailType, detail string) ebtypes.PutEventsRequestEntry {
		return ebtypes.PutEventsRequestEntry{Source: aws.String(source), DetailType: aws.String(detailType), Detail: aws.String(detail)}
	}
	good := entry("wechat.draftbox", "Draft Uploaded", `{"id":"1"}`)
	put("one", good)
	put("some bad", good, entry("", "t", "{}"), entry("s", "", "{}"), entry("s", "t", ""), entry("s", "t", "{"), good)
	eleven := make([]ebtypes.PutEventsRequestEntry, 11)
	for i := range eleven {
		eleven[i] = good
	}
	put("eleven", eleven...)
	put("none")
	put("too large", entry("s", "t", `{"a":"`+strings.Repeat("x", 1100<<10)+`"}`))
}

func queueCase(ctx context.Context, j *journal, c clients) {
	q := c.queues
	_, err := q.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("contract-none")})
	j.see("url of none", nil, err)
	created, err := q.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("contract"), Attributes: map[string]string{"VisibilityTimeout": "1"}})
	j.see("create", created, err)
	same, err := q.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("contract"), Attributes: map[string]string{"VisibilityTimeout": "1"}})
	j.see("create again", same, err)
	_, err = q.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("contract"), Attributes: map[string]string{"VisibilityTimeout": "2"}})
	j.see("create another", nil, err)
	found, err := q.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("contract")})
	j.see("url", found, err)
	url := created.QueueUrl
	none := aws.String(strings.TrimSuffix(*url, "contract") + "contract-none")

	sent, err := q.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("héllo")})
	j.see("send", sent, err)
	_, err = q.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: none, MessageBody: aws.String("hello")})
	j.see("send nowhere", nil, err)
	other, err := q.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("contract-other")})
	j.see("create other", other, err)
	_, err = q.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: other.QueueUrl, MessageBody: aws.String("bad \x01")})
	j.see("send a control character", nil, err)
	_, err = q.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String(strings.Repeat("x", 1<<20+1))})
	j.see("send too much", nil, err)
	received, err := q.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: url, MaxNumberOfMessages: 10, MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"ApproximateReceiveCount", "SentTimestamp"},
	})
	j.see("receive", received, err)
	hidden, err := q.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url})
	j.see("receive hidden", hidden, err)
	attributes, err := q.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []sqstypes.QueueAttributeName{
		"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed", "QueueArn",
		"VisibilityTimeout", "DelaySeconds", "ReceiveMessageWaitTimeSeconds", "MessageRetentionPeriod", "MaximumMessageSize", "CreatedTimestamp",
	}})
	j.see("attributes", attributes, err)
	returned, err := q.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: url, WaitTimeSeconds: 3, MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"ApproximateReceiveCount"},
	})
	j.see("receive again", returned, err)
	if len(returned.Messages) == 0 {
		return
	}
	receipt := returned.Messages[0].ReceiptHandle
	_, err = q.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: url, ReceiptHandle: receipt, VisibilityTimeout: 0})
	j.see("show", nil, err)
	shown, err := q.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, VisibilityTimeout: 100})
	j.see("receive shown", shown, err)
	_, err = q.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: url, ReceiptHandle: aws.String("bad"), VisibilityTimeout: 0})
	j.see("show by a bad receipt", nil, err)
	if len(shown.Messages) == 0 {
		return
	}
	_, err = q.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: shown.Messages[0].ReceiptHandle})
	j.see("delete", nil, err)
	_, err = q.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: shown.Messages[0].ReceiptHandle})
	j.see("delete again", nil, err)
	_, err = q.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: aws.String("bad")})
	j.see("delete by a bad receipt", nil, err)
	_, err = q.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: none})
	j.see("receive nowhere", nil, err)
	_, err = q.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: 11})
	j.see("receive eleven", nil, err)
}

func queueBatchesCase(ctx context.Context, j *journal, c clients) {
	q := c.queues
	created, err := q.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("contract-batches")})
	j.see("create", created, err)
	url := created.QueueUrl
	send := func(name string, entries ...sqstypes.SendMessageBatchRequestEntry) {
		out, err := q.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: entries})
		j.see(name, out, err)
	}
	entry := func(id, body string) sqstypes.SendMessageBatchRequestEntry {
		return sqstypes.SendMessageBatchRequestEntry{Id: aws.String(id), MessageBody: aws.String(body)}
	}
	send("send", entry("a", "1"), entry("b", "2"))
	send("send none")
	send("send twins", entry("a", "1"), entry("a", "2"))
	send("send a bad id", entry("a b", "1"))
	send("send too much", entry("a", strings.Repeat("x", 600<<10)), entry("b", strings.Repeat("x", 600<<10)))
	var eleven []sqstypes.SendMessageBatchRequestEntry
	for i := range 11 {
		eleven = append(eleven, entry(fmt.Sprint(i), "x"))
	}
	send("send eleven", eleven...)
	received, err := q.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: 10})
	j.see("receive", received, err)
	if len(received.Messages) != 2 {
		return
	}
	visible, err := q.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: url, Entries: []sqstypes.ChangeMessageVisibilityBatchRequestEntry{
		{Id: aws.String("x"), ReceiptHandle: received.Messages[0].ReceiptHandle, VisibilityTimeout: 50},
		{Id: aws.String("y"), ReceiptHandle: aws.String("bad"), VisibilityTimeout: 50},
	}})
	j.see("visibility", visible, err)
	deleted, err := q.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: url, Entries: []sqstypes.DeleteMessageBatchRequestEntry{
		{Id: aws.String("x"), ReceiptHandle: received.Messages[0].ReceiptHandle},
		{Id: aws.String("y"), ReceiptHandle: aws.String("bad")},
	}})
	j.see("delete", deleted, err)
}

func deadLettersCase(ctx context.Context, j *journal, c clients) {
	q := c.queues
	dead, err := q.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("contract-dead")})
	j.see("create dead", dead, err)
	policy := `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:contract-dead","maxReceiveCount":2}`
	source, err := q.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("contract-source"), Attributes: map[string]string{
		"RedrivePolicy": policy, "VisibilityTimeout": "0",
	}})
	j.see("create source", source, err)
	if dead == nil || source == nil {
		return
	}
	_, err = q.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("contract-lost"), Attributes: map[string]string{
		"RedrivePolicy": strings.ReplaceAll(policy, "contract-dead", "contract-nowhere"),
	}})
	j.see("create with no dead letters", nil, err)
	sent, err := q.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: source.QueueUrl, MessageBody: aws.String("poison")})
	j.see("send", sent, err)
	for i := range 3 {
		time.Sleep(5 * time.Millisecond) // moto's clock has to see that no time is over
		out, err := q.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: source.QueueUrl})
		j.see(fmt.Sprintf("receive %d", i+1), out, err)
	}
	out, err := q.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: dead.QueueUrl})
	j.see("receive dead", out, err)
}

// startMoto runs moto_server until the test ends and returns its address; it skips the test if moto_server is missing.
func startMoto(t *testing.T) (url string) {
	t.Helper()
	if os.Getenv("PROOF") == "" {
		t.Skip("not compared with moto: that is done where PROOF is set")
	}
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("not compared with moto: moto_server is not installed")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", port)
	if err := cmd.Start(); err != nil {
		t.Skip("not compared with moto: moto_server does not start: ", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return "http://" + address
		}
	}
	t.Fatal("moto_server did not answer within a minute")
	return ""
}
