package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// What AWS asks in us-east-1, in dollars. README.md states them.
const (
	aSecret          = 0.40
	secretCall       = 0.05 / 10_000
	advanced         = 0.05 // parameter, beyond the standard ones
	parameterCall    = 0.05 / 10_000
	keyUse           = 0.03 / 10_000
	lambdaRequest    = 0.20 / 1e6
	lambdaGBSecond   = 0.0000133334
	apiRequest       = 1.00 / 1e6
	queueRequest     = 0.40 / 1e6
	aMetric          = 0.30
	anAlarmMetric    = 0.10
	logGB            = 0.50
	natHour, natGB   = 0.045, 0.045
	addressHour      = 0.005
	standardForFree  = 10_000
	hours            = 730.0
	runs             = hours * 6        // of refresh-tokens, and tickets that WeChat pushes
	watches          = hours * 12       // of the drafts
	renewals         = hours * 60 / 100 // of each token
	days             = hours / 24
	weeks            = hours / 168
	requests         = 100_000.0           // to the API
	polls            = 2 * 15 * hours * 60 // of two queues that hold nothing: Lambda asks each 15 times a minute
	memory           = 0.25                // GB
	metricsWritten   = 11 + 2*14 + 2*4.0   // levels, calls and latency of each function's calls, refusals of each function
	alarmMetrics     = 24.0
	bytesOfAnAccount = 800.0 // in the answer that lists it
)

// monthly are the rows of README.md's table for n accounts, none of which is known to have an open switch.
func monthly(n float64) []float64 {
	// Beside the accounts' tokens: the platform's two secrets, and what reads them; an account's parameter is read
	// when it is renewed and when it is surveyed, and written once a week.
	secretsBeside := 2*aSecret + (2*runs+3*renewals+2*watches)*secretCall
	callsBeside := 3*runs + renewals*n + watches + days*n + weeks*n

	secrets := secretsBeside + n*aSecret + (runs*n+renewals*n+days*n+days*n/100)*secretCall
	beside := callsBeside*parameterCall + max(0, n+3-standardForFree)*advanced
	parameters := (callsBeside+runs*n+renewals*n+2*days*n)*parameterCall + max(0, 2*n+3-standardForFree)*advanced
	keys := (runs*n + renewals*n + days*n) * keyUse

	batches := days * n / 10
	invocations := requests + 2*runs + watches + batches
	seconds := requests*0.05 + watches*0.1 + runs*(0.3+n/20*0.03) + renewals*n/50 + batches*0.3
	compute := invocations*lambdaRequest + seconds*memory*lambdaGBSecond + (requests+runs)*apiRequest + (polls+3*batches)*queueRequest
	watch := metricsWritten*aMetric + alarmMetrics*anAlarmMetric + (invocations*2e3+(requests+runs)*500)/1e9*logGB
	nat := hours*(natHour+addressHour) + (1+runs*n*bytesOfAnAccount/1e9)*natGB

	return []float64{secrets, beside, secretsBeside, parameters, keys, compute, watch, nat,
		secrets + beside + compute + watch + nat, secretsBeside + parameters + keys + compute + watch + nat}
}

func TestCostsInTheReadmeAreThoseOfItsPrices(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(template), "MetricStat:") + strings.Count(string(template), "Statistic:"); n != alarmMetrics {
		t.Errorf("the template's alarms read %d metrics, and %v are counted", n, alarmMetrics)
	}
	few, many, most := monthly(10), monthly(1_000), monthly(10_000)
	for i, row := range []string{
		"Secrets Manager, `AccountTokenStore=secretsmanager`", "Parameter Store beside it",
		"*or* Secrets Manager, `AccountTokenStore=ssm`", "*and* Parameter Store", "*and* KMS for its values",
		"Lambda, HTTP API, SQS", "CloudWatch: 47 metrics, 24 alarm metrics, logs", "NAT gateway with `CreateEgress=true`",
		"**all, `secretsmanager`**", "**all, `ssm`**",
	} {
		mark := ""
		if strings.HasPrefix(row, "**") {
			mark = "**"
		}
		line := "| " + row
		for _, column := range [][]float64{few, many, most} {
			line += " | " + mark + dollars(column[i]) + mark
		}
		if line += " |\n"; !strings.Contains(string(text), line) {
			t.Errorf("README.md lacks\n%s", line)
		}
	}
}

// dollars writes an amount with a comma before the last three digits of the whole ones.
func dollars(amount float64) string {
	text := fmt.Sprintf("%.2f", amount)
	if at := len(text) - len("000.00"); at > 0 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
