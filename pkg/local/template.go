package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A bundle is what the local run takes from the template.
type bundle struct {
	Functions []function
	Routes    []route
	Schedules []schedule
	Sources   []source
	Rules     []rule
	Queues    []queue
}

// A function is named as its folder; in AWS its name has the stack's before it.
type function struct {
	Name        string
	LambdaName  string
	Folder      string
	Timeout     time.Duration
	Environment map[string]string
}

// A schedule hands Input to a function, each time that Every has passed.
type schedule struct {
	Function   string
	Expression string        // as the template has it
	Every      time.Duration // 0: not a rate, so nothing that runs here
	Input      string
}

// A source is a queue that a function is invoked with.
type source struct {
	Function  string
	Queue     string // its name
	BatchSize int
	Failures  bool // the function answers with batchItemFailures
}

// A rule is a pattern of events that a function is invoked with.
type rule struct {
	Function string
	Pattern  map[string]any
}

type queue struct {
	Name       string
	Attributes map[string]string // as CreateQueue takes them
}

type templateFile struct {
	Parameters map[string]struct {
		Type    string    `yaml:"Type"`
		Default yaml.Node `yaml:"Default"`
	} `yaml:"Parameters"`
	Mappings   map[string]map[string]map[string]yaml.Node `yaml:"Mappings"`
	Conditions map[string]yaml.Node                       `yaml:"Conditions"`
	Globals    struct {
		Function yaml.Node `yaml:"Function"`
	} `yaml:"Globals"`
	Resources map[string]resource `yaml:"Resources"`
}

type functionProperties struct {
	CodeURI string `yaml:"CodeUri"`
	Timeout int    `yaml:"Timeout"` // seconds
	Events  map[string]struct {
		Type       string    `yaml:"Type"`
		Properties yaml.Node `yaml:"Properties"`
	} `yaml:"Events"`
}

// readTemplate reads a SAM template with the values given for its parameters,
// the default for the others. queueURL tells the address of a queue.
func readTemplate(file string, values map[string]string, queueURL func(name string) string) (*bundle, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such template", file)
	} else if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	var t templateFile
	if err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&t); err != nil {
		return nil, fmt.Errorf("%s: %s", file, strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "\n ", ""))
	}
	e := &evaluator{
		file:       file,
		parameters: map[string]*yaml.Node{},
		conditions: t.Conditions,
		mappings:   t.Mappings,
		resources:  t.Resources,
		visiting:   map[string]bool{},
		queueURL:   queueURL,
	}
	for name, p := range t.Parameters {
		value := p.Default
		if given, ok := values[name]; ok {
			value.Value = given
		}
		e.parameters[name] = scalar(&value, value.Value)
		if p.Type == "CommaDelimitedList" || strings.HasPrefix(p.Type, "List<") {
			list := &yaml.Node{Kind: yaml.SequenceNode, Line: value.Line}
			for item := range strings.SplitSeq(value.Value, ",") {
				list.Content = append(list.Content, scalar(&value, item))
			}
			e.parameters[name] = list
		}
	}
	for name := range values {
		if _, ok := t.Parameters[name]; !ok {
			return nil, fmt.Errorf("%s has no parameter %s", file, name)
		}
	}
	r := reader{evaluator: e, dir: filepath.Dir(file), guarded: map[string]bool{}, byLambdaName: map[string]string{}}
	if err := r.read(t); err != nil {
		return nil, err
	}
	if len(r.bundle.Functions) == 0 {
		return nil, fmt.Errorf("%s has no functions", file)
	}
	return &r.bundle, nil
}

// A reader collects a bundle from the resources of a template.
type reader struct {
	*evaluator
	dir     string
	globals struct {
		Timeout   int `yaml:"Timeout"` // seconds
		variables map[string]string
	}
	bundle       bundle
	guarded      map[string]bool   // "GET /drafts" has an authorizer
	byLambdaName map[string]string // function names
}

func (r *reader) read(t templateFile) error {
	if err := r.decode(&t.Globals.Function, &r.globals); err != nil {
		return err
	}
	r.globals.variables = map[string]string{}
	if err := r.environment(&t.Globals.Function, r.globals.variables); err != nil {
		return err
	}
	// Functions stand before what points to them, and the API before its routes.
	order := []struct {
		kind string
		read func(id string, n *yaml.Node) error
	}{
		{"AWS::Serverless::HttpApi", r.api},
		{"AWS::Serverless::Function", r.function},
		{"AWS::Scheduler::Schedule", r.schedule},
		{"AWS::Lambda::EventSourceMapping", r.mapping},
		{"AWS::Events::Rule", r.rule},
		{"AWS::SQS::Queue", r.queue},
	}
	ids := slices.Sorted(maps.Keys(t.Resources))
	for _, step := range order {
		for _, id := range ids {
			res := t.Resources[id]
			if res.Type != step.kind {
				continue
			}
			if res.Condition != "" {
				made, err := r.condition(&res.Properties, res.Condition)
				if err != nil {
					return err
				}
				if !made {
					continue
				}
			}
			if err := step.read(id, &res.Properties); err != nil {
				return fmt.Errorf("%w (in %s)", err, id)
			}
		}
	}
	return nil
}

// api notes which routes of a definition have an authorizer.
func (r *reader) api(_ string, n *yaml.Node) error {
	var api struct {
		DefinitionBody struct {
			Paths map[string]map[string]struct {
				Security []any `yaml:"security"`
			} `yaml:"paths"`
		} `yaml:"DefinitionBody"`
	}
	if err := r.decode(n, &api); err != nil {
		return err
	}
	for path, methods := range api.DefinitionBody.Paths {
		for method, operation := range methods {
			r.guarded[strings.ToUpper(method)+" "+path] = len(operation.Security) > 0
		}
	}
	return nil
}

func (r *reader) function(id string, n *yaml.Node) error {
	var p functionProperties
	if err := r.decode(n, &p); err != nil {
		return err
	}
	if p.CodeURI == "" {
		return r.fail(n, "a function needs a CodeUri")
	}
	f := function{
		Name:        path.Base(path.Clean(p.CodeURI)),
		LambdaName:  r.physicalName(id, r.resources[id], "FunctionName"),
		Folder:      filepath.Join(r.dir, p.CodeURI),
		Timeout:     time.Duration(cmp.Or(p.Timeout, r.globals.Timeout, 3)) * time.Second,
		Environment: maps.Clone(r.globals.variables),
	}
	if err := r.environment(n, f.Environment); err != nil {
		return err
	}
	r.bundle.Functions = append(r.bundle.Functions, f)
	r.byLambdaName[f.LambdaName] = f.Name

	for _, name := range slices.Sorted(maps.Keys(p.Events)) {
		event := p.Events[name]
		if err := r.event(f.Name, event.Type, &event.Properties); err != nil {
			return err
		}
	}
	return nil
}

// environment adds the variables that a function, or the globals, declare. One
// whose value only AWS knows is empty.
func (r *reader) environment(n *yaml.Node, variables map[string]string) error {
	var declared struct {
		Environment struct {
			Variables map[string]yaml.Node `yaml:"Variables"`
		} `yaml:"Environment"`
	}
	if n.IsZero() {
		return nil
	}
	if err := n.Decode(&declared); err != nil {
		return r.fail(n, "the environment must be a map of names to values")
	}
	for name, value := range declared.Environment.Variables {
		resolved, err := r.resolve(&value)
		if err != nil {
			return err
		}
		variables[name] = ""
		if resolved != nil {
			variables[name] = resolved.Value
		}
	}
	return nil
}

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
		return r.pattern(function, n)
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
	made := newRoute(function, strings.ToUpper(p.Method), p.Path)
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

// rate reads a schedule of a function, in SAM's way or in Scheduler's.
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

// queueSource reads a queue of a function, in SAM's way or in Lambda's.
func (r *reader) queueSource(function string, n *yaml.Node) error {
	p := struct {
		Queue          string   `yaml:"Queue"`
		EventSourceARN string   `yaml:"EventSourceArn"`
		BatchSize      int      `yaml:"BatchSize"`
		Enabled        bool     `yaml:"Enabled"`
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
		if function, ok := r.target(target.ARN); ok {
			if err := r.pattern(function, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// pattern reads a rule of a function, in SAM's way or in EventBridge's.
func (r *reader) pattern(function string, n *yaml.Node) error {
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
	r.bundle.Rules = append(r.bundle.Rules, rule{Function: function, Pattern: p.Pattern})
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
	r.bundle.Queues = slices.Insert(r.bundle.Queues, 0, made) // a target stands before who points to it
	return nil
}

// target is the function that a name, an ARN or an alias means.
func (r *reader) target(name string) (string, bool) {
	if _, after, ok := strings.Cut(name, ":function:"); ok {
		name, _, _ = strings.Cut(after, ":")
	}
	function, ok := r.byLambdaName[name]
	return function, ok
}

// period reads "rate(5 minutes)"; a cron expression has none.
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
