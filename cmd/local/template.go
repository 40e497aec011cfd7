package main

import (
	"bytes"
	"cmp"
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

	"wechat-draftbox/pkg/standin/gateway"
)

// A bundle is the part of the template that the local run uses.
type bundle struct {
	Functions []function
	Routes    []gateway.Route
	Schedules []schedule
	Sources   []source
	Rules     []rule
	Queues    []queue
	Tables    []table
}

// A function is named after its folder; in AWS the stack's name comes first.
type function struct {
	Name        string
	LambdaName  string
	Folder      string
	Timeout     time.Duration
	Environment map[string]string
}

// A schedule invokes Function with Input once every Every.
type schedule struct {
	Function   string
	Expression string        // as in the template
	Every      time.Duration // 0: not a rate expression; not run here
	Input      string
}

// A source is a queue whose messages a function receives.
type source struct {
	Function  string
	Queue     string // its name
	BatchSize int
	Window    time.Duration // batching window
	Failures  bool          // the function reports batchItemFailures
}

// A rule sends events that match a pattern to a function or a queue.
type rule struct {
	Function string // or
	Queue    string // its name
	Pattern  map[string]any
}

type queue struct {
	Name       string
	Attributes map[string]string // as CreateQueue takes them
}

// A table is a DynamoDB table of the stack, with string keys.
type table struct {
	Name    string
	Keys    []string // the partition key, then the sort key if there is one
	Expires string   // the time-to-live attribute, or empty
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

// readTemplate reads a SAM template with these parameter values, AWS::StackName among them, and defaults for the rest.
// queueURL returns a queue's URL.
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
		stack:      cmp.Or(values[stackName], stack),
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
		if _, ok := t.Parameters[name]; !ok && name != stackName {
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
	// Functions come before what refers to them, and the API before its routes.
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
		{"AWS::DynamoDB::Table", r.table},
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

// api records which routes of a definition have an authorizer.
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

func (r *reader) table(id string, n *yaml.Node) error {
	var p struct {
		KeySchema []struct {
			Name string `yaml:"AttributeName"`
			Type string `yaml:"KeyType"`
		} `yaml:"KeySchema"`
		TimeToLive struct {
			Attribute string `yaml:"AttributeName"`
			Enabled   bool   `yaml:"Enabled"`
		} `yaml:"TimeToLiveSpecification"`
	}
	if err := r.decode(n, &p); err != nil {
		return err
	}
	made := table{Name: r.physicalName(id, r.resources[id], "TableName")}
	for _, key := range p.KeySchema {
		if key.Type == "HASH" {
			made.Keys = slices.Insert(made.Keys, 0, key.Name)
		} else {
			made.Keys = append(made.Keys, key.Name)
		}
	}
	if len(made.Keys) == 0 {
		return r.fail(n, "a table needs a KeySchema")
	}
	if p.TimeToLive.Enabled {
		made.Expires = p.TimeToLive.Attribute
	}
	r.bundle.Tables = append(r.bundle.Tables, made)
	return nil
}

// environment adds the declared variables. A value that only AWS knows becomes empty.
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
