package main

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The account that the local run pretends to be.
const (
	region  = "us-east-1"
	account = "123456789012"
	stack   = "local"
	alias   = "live"

	stackName = "AWS::StackName"
)

// An evaluator resolves CloudFormation's intrinsic functions ("!Ref", "Fn::Sub" and the like). Values known only in
// AWS are left out and become empty variables, as with "sam local".
type evaluator struct {
	file       string
	parameters map[string]*yaml.Node // values
	conditions map[string]yaml.Node  // formulas
	mappings   map[string]map[string]map[string]yaml.Node
	resources  map[string]resource
	visiting   map[string]bool // conditions being evaluated
	queueURL   func(name string) string
	stack      string // its name
}

type resource struct {
	Type       string    `yaml:"Type"`
	Condition  string    `yaml:"Condition"`
	Properties yaml.Node `yaml:"Properties"`
}

func (e *evaluator) fail(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", e.file, n.Line, fmt.Sprintf(format, args...))
}

// resolve returns the node with intrinsic functions replaced by their values, or nil if there is no value.
func (e *evaluator) resolve(n *yaml.Node) (*yaml.Node, error) {
	if n.Kind == yaml.AliasNode {
		return e.resolve(n.Alias)
	}
	if name, arg, ok := intrinsic(n); ok {
		return e.call(name, arg)
	}
	if n.Kind == yaml.ScalarNode {
		return n, nil
	}
	resolved := *n
	resolved.Content = nil
	step := 1
	if n.Kind == yaml.MappingNode {
		step = 2
	}
	for at := step - 1; at < len(n.Content); at += step {
		child, err := e.resolve(n.Content[at])
		if err != nil {
			return nil, err
		}
		if child == nil {
			continue
		}
		if step == 2 {
			resolved.Content = append(resolved.Content, n.Content[at-1])
		}
		resolved.Content = append(resolved.Content, child)
	}
	return &resolved, nil
}

// decode resolves n and decodes it into v. A missing node leaves v unchanged.
func (e *evaluator) decode(n *yaml.Node, v any) error {
	if n.IsZero() {
		return nil
	}
	resolved, err := e.resolve(n)
	if err != nil || resolved == nil {
		return err
	}
	if err := resolved.Decode(v); err != nil {
		return e.fail(n, "%s", strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "\n", " "))
	}
	return nil
}

// intrinsic recognises a function in either notation and returns its name without "Fn::".
func intrinsic(n *yaml.Node) (name string, arg *yaml.Node, ok bool) {
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		plain := *n
		plain.Tag = ""
		return n.Tag[1:], &plain, true
	}
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		return "", nil, false
	}
	key := n.Content[0].Value
	if name, ok := strings.CutPrefix(key, "Fn::"); ok {
		return name, n.Content[1], true
	}
	return key, n.Content[1], key == "Ref" || key == "Condition"
}

func (e *evaluator) call(name string, arg *yaml.Node) (*yaml.Node, error) {
	switch name {
	case "Ref":
		return e.ref(arg, arg.Value)
	case "GetAtt":
		return e.getAtt(arg)
	case "Sub":
		return e.sub(arg)
	case "If":
		if len(arg.Content) != 3 {
			return nil, e.fail(arg, "!If takes a condition and two values")
		}
		holds, err := e.condition(arg.Content[0], arg.Content[0].Value)
		if err != nil {
			return nil, err
		}
		if holds {
			return e.resolve(arg.Content[1])
		}
		return e.resolve(arg.Content[2])
	case "Condition":
		holds, err := e.condition(arg, arg.Value)
		return boolean(arg, holds), err
	case "Equals", "And", "Or", "Not":
		return e.judge(name, arg)
	}
	list, err := e.resolve(arg)
	if err != nil || list == nil {
		return nil, err
	}
	switch {
	case name == "Join" && len(list.Content) == 2:
		return scalar(arg, strings.Join(texts(list.Content[1]), list.Content[0].Value)), nil
	case name == "Split" && len(list.Content) == 2:
		split := &yaml.Node{Kind: yaml.SequenceNode, Line: arg.Line}
		for part := range strings.SplitSeq(list.Content[1].Value, list.Content[0].Value) {
			split.Content = append(split.Content, scalar(arg, part))
		}
		return split, nil
	case name == "Select" && len(list.Content) == 2:
		at, err := strconv.Atoi(list.Content[0].Value)
		if err != nil || at < 0 || at >= len(list.Content[1].Content) {
			return nil, e.fail(arg, "!Select finds no element %s", list.Content[0].Value)
		}
		return list.Content[1].Content[at], nil
	case name == "FindInMap" && len(list.Content) == 3:
		keys := texts(list)
		value, ok := e.mappings[keys[0]][keys[1]][keys[2]]
		if !ok {
			return nil, e.fail(arg, "!FindInMap finds nothing at %s", strings.Join(keys, ", "))
		}
		return &value, nil
	case name == "Base64":
		return scalar(arg, base64.StdEncoding.EncodeToString([]byte(list.Value))), nil
	}
	return nil, nil // known in AWS only
}

// generated matches the suffixes that SAM adds to a function's id to name generated resources.
var generated = regexp.MustCompile(`^(Role|Version|Alias\w+)$`)

func (e *evaluator) ref(at *yaml.Node, name string) (*yaml.Node, error) {
	if value, ok := e.parameters[name]; ok {
		return value, nil
	}
	if value, ok := e.attribute(name, ""); ok {
		if value == "" {
			return nil, nil
		}
		return scalar(at, value), nil
	}
	switch name {
	case "AWS::Region":
		return scalar(at, region), nil
	case "AWS::AccountId":
		return scalar(at, account), nil
	case "AWS::Partition":
		return scalar(at, "aws"), nil
	case "AWS::URLSuffix":
		return scalar(at, "amazonaws.com"), nil
	case stackName:
		return scalar(at, e.stack), nil
	case "AWS::NoValue", "AWS::StackId", "AWS::NotificationARNs":
		return nil, nil
	}
	if strings.HasPrefix(name, "AWS::") {
		return nil, e.fail(at, "there is no pseudo parameter %s", name)
	}
	if id, attribute, found := strings.Cut(name, "."); found && e.resources[id].Type != "" {
		return e.getAtt(scalar(at, id+"."+attribute)) // a resource that SAM generates, "Function.Alias"
	}
	for id, r := range e.resources { // "FunctionRole" and the like are SAM's too
		if rest, ok := strings.CutPrefix(name, id); ok && r.Type == "AWS::Serverless::Function" && generated.MatchString(rest) {
			return nil, nil
		}
	}
	return nil, e.fail(at, "there is no parameter and no resource %s", name)
}

func (e *evaluator) getAtt(arg *yaml.Node) (*yaml.Node, error) {
	path := arg.Value
	if arg.Kind == yaml.SequenceNode {
		path = strings.Join(texts(arg), ".")
	}
	id, attribute, _ := strings.Cut(path, ".")
	value, ok := e.attribute(id, attribute)
	switch {
	case !ok && attribute == "":
		return nil, e.fail(arg, "!GetAtt takes a resource and an attribute")
	case !ok:
		return e.ref(arg, id)
	case value == "":
		return nil, nil
	}
	return scalar(arg, value), nil
}

// attribute resolves !Ref (an empty attribute) or !GetAtt of a resource. The value is empty if only AWS knows it.
func (e *evaluator) attribute(id, attribute string) (value string, ok bool) {
	r, ok := e.resources[id]
	if !ok {
		return "", false
	}
	switch r.Type {
	case "AWS::SQS::Queue":
		name := e.physicalName(id, r, "QueueName")
		switch attribute {
		case "", "QueueUrl":
			return e.queueURL(name), true
		case "QueueName":
			return name, true
		case "Arn":
			return arn("sqs", name), true
		}
	case "AWS::Events::EventBus":
		name := e.physicalName(id, r, "Name")
		switch attribute {
		case "", "Name":
			return name, true
		case "Arn":
			return arn("events", "event-bus/"+name), true
		}
	case "AWS::DynamoDB::Table":
		name := e.physicalName(id, r, "TableName")
		switch attribute {
		case "":
			return name, true
		case "Arn":
			return arn("dynamodb", "table/"+name), true
		}
	case "AWS::Serverless::Function":
		switch attribute {
		case "":
			return e.physicalName(id, r, "FunctionName"), true
		case "Arn":
			return arn("lambda", "function:"+e.physicalName(id, r, "FunctionName")), true
		case "Alias":
			return arn("lambda", "function:"+e.physicalName(id, r, "FunctionName")+":"+alias), true
		}
	default:
		if attribute == "" {
			return id, true
		}
	}
	return "", true
}

// physicalName is the name set by a property, else one in CloudFormation's style.
func (e *evaluator) physicalName(id string, r resource, property string) string {
	var name string
	for at := 0; at+1 < len(r.Properties.Content); at += 2 {
		if r.Properties.Content[at].Value == property {
			if n, err := e.resolve(r.Properties.Content[at+1]); err == nil && n != nil {
				name = n.Value
			}
		}
	}
	if name == "" {
		name = e.stack + "-" + id
	}
	return name
}

func arn(service, name string) string {
	return "arn:aws:" + service + ":" + region + ":" + account + ":" + name
}

var variable = regexp.MustCompile(`\$\{[^}]+\}`)

// sub expands "${Name}", "${Name.Attribute}" and, in the long form, its own variables. "${!Name}" is literal.
func (e *evaluator) sub(arg *yaml.Node) (*yaml.Node, error) {
	text, own := arg.Value, map[string]yaml.Node{}
	if arg.Kind == yaml.SequenceNode {
		if len(arg.Content) != 2 {
			return nil, e.fail(arg, "!Sub takes a text and a map of values")
		}
		text = arg.Content[0].Value
		if err := arg.Content[1].Decode(&own); err != nil {
			return nil, e.fail(arg, "!Sub takes a text and a map of values")
		}
	}
	var failed error
	filled := variable.ReplaceAllStringFunc(text, func(whole string) string {
		name := whole[2 : len(whole)-1]
		var n *yaml.Node
		var err error
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		} else if value, ok := own[name]; ok {
			n, err = e.resolve(&value)
		} else if strings.Contains(name, ".") {
			n, err = e.getAtt(scalar(arg, name))
		} else {
			n, err = e.ref(arg, name)
		}
		if err != nil && failed == nil {
			failed = err
		}
		if n == nil {
			return ""
		}
		return n.Value
	})
	return scalar(arg, filled), failed
}

// condition evaluates a condition by its name.
func (e *evaluator) condition(at *yaml.Node, name string) (bool, error) {
	formula, ok := e.conditions[name]
	if !ok {
		return false, e.fail(at, "there is no condition %s", name)
	}
	if e.visiting[name] {
		return false, e.fail(at, "the condition %s depends on itself", name)
	}
	e.visiting[name] = true
	defer delete(e.visiting, name)
	n, err := e.resolve(&formula)
	if err != nil {
		return false, err
	}
	return n != nil && n.Value == "true", nil
}

func (e *evaluator) judge(name string, arg *yaml.Node) (*yaml.Node, error) {
	values := make([]string, len(arg.Content)) // a missing value is ""
	for at, operand := range arg.Content {
		n, err := e.resolve(operand)
		if err != nil {
			return nil, err
		}
		if n != nil {
			values[at] = n.Value
		}
	}
	switch {
	case name == "Equals" && len(values) == 2:
		return boolean(arg, values[0] == values[1]), nil
	case name == "Not" && len(values) == 1:
		return boolean(arg, values[0] != "true"), nil
	case name == "And" && len(values) > 1:
		return boolean(arg, !slices.ContainsFunc(values, func(v string) bool { return v != "true" })), nil
	case name == "Or" && len(values) > 1:
		return boolean(arg, slices.Contains(values, "true")), nil
	}
	return nil, e.fail(arg, "!%s does not take %d values", name, len(values))
}

// scalar makes a plain value at n's position that decodes into a string, a number or a boolean.
func scalar(n *yaml.Node, value string) *yaml.Node {
	made := &yaml.Node{Kind: yaml.ScalarNode, Value: value, Line: n.Line, Column: n.Column}
	if value == "" {
		made.Tag = "!!str"
	}
	return made
}

func boolean(n *yaml.Node, b bool) *yaml.Node { return scalar(n, strconv.FormatBool(b)) }

func texts(list *yaml.Node) []string {
	out := make([]string, len(list.Content))
	for at, n := range list.Content {
		out[at] = n.Value
	}
	return out
}
