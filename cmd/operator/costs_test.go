package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateCosts = flag.Bool("update", false, "write the table of docs/cost.md")

// AWS prices in us-east-1, in dollars, as docs/cost.md states them.
const (
	aSecret        = 0.40
	secretCall     = 0.05 / 10_000
	parameterCall  = 0.05 / 10_000
	keyUse         = 0.03 / 10_000
	aKey           = 1.00
	writeUnit      = 0.625 / 1e6 // of DynamoDB on demand: 1 KB
	readUnit       = 0.125 / 1e6 // 4 KB, consistently
	storedGB       = 0.25 + 0.20 // with point-in-time recovery
	lambdaRequest  = 0.20 / 1e6
	lambdaGBSecond = 0.0000133334
	apiRequest     = 1.00 / 1e6
	queueRequest   = 0.40 / 1e6
	aMetric        = 0.30
	anAlarmMetric  = 0.10
	logGB          = 0.50
	natHour, natGB = 0.045, 0.045
	addressHour    = 0.005
)

// The load of a month.
const (
	hours          = 730.0
	runs           = hours * 6        // of refresh-tokens, and tickets that WeChat pushes
	watches        = hours * 12       // of the drafts
	renewals       = hours * 60 / 100 // of each token
	days           = hours / 24
	weeks          = hours / 168
	requests       = 100_000.0           // to the API
	polls          = 3 * 15 * hours * 60 // of three queues that hold nothing: Lambda asks each 15 times a minute
	keyUses        = 3 * hours * 12      // three roles, for each of which DynamoDB asks for the key every 5 minutes at most
	memory         = 0.25                // GB
	metricsWritten = 12 + 2*18.0         // levels, calls and latency of each function's calls
	faultMetrics   = 2*4 + 6.0           // refusals by quota and whitelist, server faults of each function
	faultHours     = 24.0                // in which those are written; AWS charges a metric by the hours in which it is
	alarmMetrics   = 34.0

	// Units of 4 KB.
	tokenItem    = 500.0 / 4096
	accountItem  = 300.0 / 4096
	draftEntries = 500 * 150.0 / 4096 // of the drafts in the box

	bytesOfASecret = 900.0 // in the answer that lists it
)

// costs are the rows of the table in docs/cost.md.
type costs struct {
	secrets, secretsBeside, tokens, state, key, ticket, compute, watch, nat float64
}

func (c costs) withSecretsManager() float64 {
	return c.secrets + c.state + c.key + c.ticket + c.compute + c.watch
}

func (c costs) withDynamoDB() float64 {
	return c.secretsBeside + c.tokens + c.state + c.key + c.ticket + c.compute + c.watch
}

// monthly returns the costs of n accounts with no open switch.
func monthly(n float64) costs {
	var c costs
	// In addition to the accounts' tokens: the platform's two secrets and their readers.
	c.secretsBeside = 2*aSecret + (2*runs+3*renewals+2*watches)*secretCall
	c.secrets = c.secretsBeside + n*aSecret + (runs*n+renewals*n+days*n+days*n/100)*secretCall

	// A refresh scans the tokens and reads each account's item. A survey lists the items, reads each item twice more
	// (for the token's owner and in the check), and lists and reads the tokens. A renewal reads the token's wait. An
	// account is written once a week, a token when it is renewed. Reading an item by its key costs one unit, whatever
	// its size.
	c.tokens = (runs*n*tokenItem+days*n*(1+tokenItem))*readUnit + renewals*n*writeUnit + n*tokenItem*4096/1e9*storedGB
	c.state = (runs*n+renewals*n+days*n*(accountItem+2)+watches*draftEntries+requests)*readUnit + (weeks*n+2*runs)*writeUnit + n*accountItem*4096/1e9*storedGB
	c.key = aKey + keyUses*keyUse
	c.ticket = 3 * runs * (parameterCall + keyUse)

	batches := days * n / 10
	invocations := requests + 2*runs + watches + batches
	seconds := requests*0.05 + watches*0.1 + runs*(0.3+n/20*0.03) + renewals*n/50 + batches*0.3
	c.compute = invocations*lambdaRequest + seconds*memory*lambdaGBSecond + (requests+runs)*apiRequest + (polls+3*batches)*queueRequest
	c.watch = (metricsWritten+faultMetrics*faultHours/hours)*aMetric + alarmMetrics*anAlarmMetric + (invocations*2e3+(requests+runs)*500)/1e9*logGB
	c.nat = hours*(natHour+addressHour) + (1+runs*n*bytesOfASecret/1e9)*natGB
	return c
}

// The contract with operators: the AWS cost of 10,000 accounts with tokens in DynamoDB, without a NAT gateway.
const mostForTenThousand = 35

func TestCostsAreThoseOfThePrices(t *testing.T) {
	t.Parallel()
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(template), "MetricStat:") + strings.Count(string(template), "Statistic:"); n != alarmMetrics {
		t.Errorf("the template's alarms read %d metrics, and %v are counted", n, alarmMetrics)
	}
	if got := monthly(10_000).withDynamoDB(); got > mostForTenThousand {
		t.Errorf("10,000 accounts with dynamodb cost $%.2f", got)
	}
}

const (
	costPage    = "../../docs/cost.md"
	costsHeader = "| | 10 accounts | 1,000 | 10,000 |\n| --- | ---: | ---: | ---: |\n"
)

// TestThePageHasTheCosts checks the table of docs/cost.md; -update writes it.
func TestThePageHasTheCosts(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(costPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), costsHeader)
	if !found {
		t.Fatalf("%s has no table of costs", costPage)
	}
	table, after, _ := strings.Cut(rest, "\n\n")
	if *updateCosts {
		table = strings.TrimSuffix(costTable(), "\n")
		if err := os.WriteFile(costPage, []byte(before+costsHeader+table+"\n\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(costTable(), table+"\n"); diff != "" {
		t.Errorf("%s states other costs than the prices give; -update writes them (-prices +page):\n%s", costPage, diff)
	}
}

func costTable() string {
	var table strings.Builder
	few, many, most := monthly(10), monthly(1_000), monthly(10_000)
	for _, row := range []struct {
		name string
		of   func(costs) float64
	}{
		{"Secrets Manager, with `AccountTokenStore=secretsmanager`", func(c costs) float64 { return c.secrets }},
		{"*or* Secrets Manager, with `AccountTokenStore=dynamodb`", func(c costs) float64 { return c.secretsBeside }},
		{"*and* the token table", func(c costs) float64 { return c.tokens }},
		{"state table", func(c costs) float64 { return c.state }},
		{"the token table's key", func(c costs) float64 { return c.key }},
		{"Parameter Store and KMS for the ticket", func(c costs) float64 { return c.ticket }},
		{"Lambda, HTTP API, SQS", func(c costs) float64 { return c.compute }},
		{fmt.Sprintf("CloudWatch: %v metrics, %v alarm metrics, logs", metricsWritten, alarmMetrics), func(c costs) float64 { return c.watch }},
		{"**all, `secretsmanager`**", costs.withSecretsManager},
		{"**all, `dynamodb`**", costs.withDynamoDB},
		{"not in it: NAT gateway with `CreateEgress=true`", func(c costs) float64 { return c.nat }},
	} {
		mark := ""
		if strings.HasPrefix(row.name, "**") {
			mark = "**"
		}
		table.WriteString("| " + row.name)
		for _, column := range []costs{few, many, most} {
			table.WriteString(" | " + mark + dollars(row.of(column)) + mark)
		}
		table.WriteString(" |\n")
	}
	return table.String()
}

// dollars formats an amount with thousands separators.
func dollars(amount float64) string {
	text := fmt.Sprintf("%.2f", amount)
	if at := len(text) - len("000.00"); at > 0 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
