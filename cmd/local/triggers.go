package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"wechat-draftbox/pkg/standin/gateway"
)

// event reads one entry of a function's Events.
func (r *reader) event(function, kind string, n *yaml.Node) error {
	switch kind {
	case "HttpApi":
		return r.httpAPI(function, n)
	case "ScheduleV2":
		return r.rate(function, n)
	case "SQS":
		return r.queueSource(function, n)
	case "EventBridgeRule":
		return r.pattern(rule{Function: function}, n)
	}
	return r.fail(n, "the local run knows no event of type %q", kind)
}

func (r *reader) httpAPI(function string, n *yaml.Node) error {
	var p struct {
		Method string `yaml:"Method"`
		Path   string `yaml:"Path"`
		Auth   struct {
			Authorizer string `yaml:"Authorizer"`
		} `yaml:"Auth"`
	}
	if err := r.decode(n, &p); err != nil {
		return err
	}
	if p.Method == "" || !strings.HasPrefix(p.Path, "/") {
		return r.fail(n, "a route needs a Method and a Path")
	}
	made := gateway.NewRoute(function, strings.ToUpper(p.Method), p.Path)
	made.Guarded = p.Auth.Authorizer != "" && p.Auth.Authorizer != "NONE" || r.guarded[made.Key()]
	r.bundle.Routes = append(r.bundle.Routes, made)
	return nil
}

func (r *reader) schedule(_ string, n *yaml.Node) error {
	var p struct {
		Target struct {
			ARN string `yaml:"Arn"`
		} `yaml:"Target"`
	}
	if err := r.decode(n, &p); err != nil {
		return err
	}
	if function, ok := r.target(p.Target.ARN); ok {
		return r.rate(function, n)
	}
	return nil
}

// rate reads a function's schedule, in the notation of SAM or of EventBridge Scheduler.
func (r *reader) rate(function string, n *yaml.Node) error {
	var p struct {
		Expression string `yaml:"ScheduleExpression"`
		State      string `yaml:"State"`
		Input      string `yaml:"Input"`
		Target     struct {
			Input string `yaml:"Input"`
		} `yaml:"Target"`
	}
	if err := r.decode(n, &p); err != nil {
		return err
	}
	if p.State == "DISABLED" {
		return nil
	}
	every, err := period(p.Expression)
	if err != nil {
		return r.fail(n, "%v", err)
	}
	input := cmp.Or(p.Input, p.Target.Input)
	if !json.Valid([]byte(input)) {
		return r.fail(n, "the schedule's Input is no JSON")
	}
	r.bundle.Schedules = append(r.bundle.Schedules, schedule{
		Function: function, Expression: p.Expression, Every: every, Input: input,
	})
	return nil
}

func (r *reader) mapping(_ string, n *yaml.Node) error {
	var p struct {
		FunctionName string `yaml:"FunctionName"`
	}
	if err := r.decode(n, &p); err != nil {
		return err
	}
	if function, ok := r.target(p.FunctionName); ok {
		return r.queueSource(function, n)
	}
	return nil
}

// queueSource reads a function's queue, in the notation of SAM or of Lambda.
func (r *reader) queueSource(function string, n *yaml.Node) error {
	p := struct {
		Queue          string   `yaml:"Queue"`
		EventSourceARN string   `yaml:"EventSourceArn"`
		BatchSize      int      `yaml:"BatchSize"`
		Enabled        bool     `yaml:"Enabled"`
		Window         int      `yaml:"MaximumBatchingWindowInSeconds"`
		ResponseTypes  []string `yaml:"FunctionResponseTypes"`
	}{Enabled: true}
	if err := r.decode(n, &p); err != nil || !p.Enabled {
		return err
	}
	arn := cmp.Or(p.Queue, p.EventSourceARN)
	r.bundle.Sources = append(r.bundle.Sources, source{
		Function:  function,
		Queue:     arn[strings.LastIndexByte(arn, ':')+1:],
		BatchSize: cmp.Or(p.BatchSize, 10),
		Window:    time.Duration(p.Window) * time.Second,
		Failures:  slices.Contains(p.ResponseTypes, "ReportBatchItemFailures"),
	})
	return nil
}

func (r *reader) rule(_ string, n *yaml.Node) error {
	var p struct {
		State   string `yaml:"State"`
		Targets []struct {
			ARN string `yaml:"Arn"`
		} `yaml:"Targets"`
	}
	if err := r.decode(n, &p); err != nil || p.State == "DISABLED" {
		return err
	}
	for _, target := range p.Targets {
		function, isFunction := r.target(target.ARN)
		_, queue, isQueue := strings.Cut(target.ARN, ":sqs:")
		if !isFunction && !isQueue {
			continue
		}
		if err := r.pattern(rule{Function: function, Queue: queue[strings.LastIndexByte(queue, ':')+1:]}, n); err != nil {
			return err
		}
	}
	return nil
}

// pattern reads a rule's pattern, in the notation of SAM or of EventBridge.
func (r *reader) pattern(made rule, n *yaml.Node) error {
	var p struct {
		Pattern      map[string]any `yaml:"Pattern"`
		EventPattern map[string]any `yaml:"EventPattern"`
	}
	if err := r.decode(n, &p); err != nil {
		return err
	}
	if p.Pattern == nil {
		p.Pattern = p.EventPattern
	}
	if err := checkPattern(p.Pattern); err != nil {
		return r.fail(n, "%v", err)
	}
	made.Pattern = p.Pattern
	r.bundle.Rules = append(r.bundle.Rules, made)
	return nil
}

func (r *reader) queue(id string, n *yaml.Node) error {
	var p struct {
		VisibilityTimeout int `yaml:"VisibilityTimeout"` // seconds
		RedrivePolicy     struct {
			Target string `yaml:"deadLetterTargetArn"`
			Max    int    `yaml:"maxReceiveCount"`
		} `yaml:"RedrivePolicy"`
	}
	if err := r.decode(n, &p); err != nil {
		return err
	}
	made := queue{
		Name:       r.physicalName(id, r.resources[id], "QueueName"),
		Attributes: map[string]string{"VisibilityTimeout": fmt.Sprint(cmp.Or(p.VisibilityTimeout, 30))},
	}
	if p.RedrivePolicy.Target != "" {
		made.Attributes["RedrivePolicy"] = fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`,
			p.RedrivePolicy.Target, p.RedrivePolicy.Max)
		r.bundle.Queues = append(r.bundle.Queues, made)
		return nil
	}
	r.bundle.Queues = slices.Insert(r.bundle.Queues, 0, made) // a dead-letter queue comes before the queues that use it
	return nil
}

// target returns the function that a name, an ARN or an alias refers to.
func (r *reader) target(name string) (string, bool) {
	if _, after, ok := strings.Cut(name, ":function:"); ok {
		name, _, _ = strings.Cut(after, ":")
	}
	function, ok := r.byLambdaName[name]
	return function, ok
}

// period parses "rate(5 minutes)". A cron expression has no period.
func period(expression string) (time.Duration, error) {
	if strings.HasPrefix(expression, "cron(") || strings.HasPrefix(expression, "at(") {
		return 0, nil
	}
	var n int
	var unit string
	if _, err := fmt.Sscanf(strings.TrimSuffix(expression, ")"), "rate(%d %s", &n, &unit); err == nil && n > 0 {
		switch strings.TrimSuffix(unit, "s") {
		case "minute":
			return time.Duration(n) * time.Minute, nil
		case "hour":
			return time.Duration(n) * time.Hour, nil
		case "day":
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	return 0, fmt.Errorf("%q is no schedule expression", expression)
}
