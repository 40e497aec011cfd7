package awstest

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/truora/minidyn/interpreter/language"
)

// DynamoDB's expressions are parsed by minidyn and evaluated here: its own
// evaluator refuses a comparison of two types, which DynamoDB calls false, and
// counts in floating point.

// placeholders are an expression's names and values.
type placeholders struct {
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues item
}

// A compiler turns the expressions of one request into functions.
type compiler struct {
	placeholders
	used  map[string]bool // placeholders
	roots map[string]bool // attributes of the top level that were mentioned
}

func (p placeholders) compiler() *compiler {
	return &compiler{placeholders: p, used: make(map[string]bool), roots: make(map[string]bool)}
}

// finished refuses unused placeholders, the most common error.
func (c *compiler) finished() error {
	for name := range c.ExpressionAttributeNames {
		if !c.used[name] {
			return invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", name)
		}
	}
	for name := range c.ExpressionAttributeValues {
		if !c.used[name] {
			return invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", name)
		}
	}
	return nil
}

type (
	condition func(item) bool
	// operand returns a value; ok is false if the item lacks it.
	operand func(item) (a attribute, ok bool)
	// assigned is operand for updates, which refuse missing values.
	assigned func(item) (attribute, error)
)

func syntaxError(kind string) *refusal {
	return invalid("Invalid %s: Syntax error, or more than the stand-in understands", kind)
}

// condition is nil for a missing expression.
func (c *compiler) condition(kind string, text *string) (condition, error) {
	if text == nil {
		return nil, nil
	}
	node, err := parseCondition(kind, *text)
	if err != nil {
		return nil, err
	}
	return c.test(kind, node)
}

// parseCondition adds parentheses: without them minidyn ignores all but the last of several conditions with no
// operator between them.
func parseCondition(kind, text string) (language.Expression, error) {
	parser := language.NewParser(language.NewLexer("(" + text + ")"))
	parsed := parser.ParseConditionalExpression()
	if len(parser.Errors()) > 0 || parsed.Expression == nil {
		return nil, syntaxError(kind)
	}
	return parsed.Expression, nil
}

func (c *compiler) test(kind string, node language.Expression) (condition, error) {
	switch node := node.(type) {
	case *language.PrefixExpression:
		inner, err := c.test(kind, node.Right)
		return func(it item) bool { return !inner(it) }, err
	case *language.InfixExpression:
		if node.Operator == language.AND || node.Operator == language.OR {
			return c.both(kind, node)
		}
		return c.comparison(kind, node.Operator, node.Left, node.Right)
	case *language.BetweenExpression:
		low, err := c.comparison(kind, language.GTE, node.Left, node.Range[0])
		if err != nil {
			return nil, err
		}
		high, err := c.comparison(kind, language.LTE, node.Left, node.Range[1])
		return func(it item) bool { return low(it) && high(it) }, err
	case *language.InExpression:
		var tests []condition
		for _, candidate := range node.Range {
			equal, err := c.comparison(kind, language.EQ, node.Left, candidate)
			if err != nil {
				return nil, err
			}
			tests = append(tests, equal)
		}
		return func(it item) bool {
			return slices.ContainsFunc(tests, func(t condition) bool { return t(it) })
		}, nil
	case *language.CallExpression:
		return c.function(kind, node)
	}
	return nil, syntaxError(kind)
}

func (c *compiler) both(kind string, node *language.InfixExpression) (condition, error) {
	left, err := c.test(kind, node.Left)
	if err != nil {
		return nil, err
	}
	right, err := c.test(kind, node.Right)
	if node.Operator == language.AND {
		return func(it item) bool { return left(it) && right(it) }, err
	}
	return func(it item) bool { return left(it) || right(it) }, err
}

func (c *compiler) comparison(kind, operator string, l, r language.Expression) (condition, error) {
	left, err := c.operand(kind, l)
	if err != nil {
		return nil, err
	}
	right, err := c.operand(kind, r)
	if err != nil {
		return nil, err
	}
	return func(it item) bool {
		a, okA := left(it)
		b, okB := right(it)
		switch {
		case operator == language.NotEQ:
			return okA != okB || okA && !a.equal(b)
		case !okA || !okB:
			return false
		case operator == language.EQ:
			return a.equal(b)
		}
		order, ok := a.compare(b)
		return ok && inOrder(operator, order)
	}, nil
}

func inOrder(operator string, order int) bool {
	switch operator {
	case language.LT:
		return order < 0
	case language.LTE:
		return order <= 0
	case language.GT:
		return order > 0
	}
	return order >= 0
}

// function compiles a call that is a condition.
func (c *compiler) function(kind string, call *language.CallExpression) (condition, error) {
	name, arguments := call.Function.String(), call.Arguments
	if want := map[string]int{"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2}[name]; want == 0 {
		return nil, invalid("Invalid %s: Invalid function name; function: %s", kind, name)
	} else if len(arguments) != want {
		return nil, invalid("Invalid %s: Incorrect number of operands for operator or function; operator or function: %s", kind, name)
	}
	first, err := c.operand(kind, arguments[0])
	if err != nil {
		return nil, err
	}
	if len(arguments) == 1 {
		if strings.HasPrefix(arguments[0].String(), ":") {
			return nil, invalid("Invalid %s: Operator or function requires a document path; operator or function: %s", kind, name)
		}
		exists := name == "attribute_exists"
		return func(it item) bool {
			_, ok := first(it)
			return ok == exists
		}, nil
	}
	second, err := c.operand(kind, arguments[1])
	if err != nil {
		return nil, err
	}
	return func(it item) bool {
		a, okA := first(it)
		b, okB := second(it)
		return okA && okB && a.holds(name, b)
	}, nil
}

func (a attribute) holds(function string, b attribute) bool {
	isText := a.kind == b.kind && (a.kind == "S" || a.kind == "B")
	switch function {
	case "attribute_type":
		return a.kind == b.text
	case "begins_with":
		return isText && strings.HasPrefix(a.text, b.text)
	}
	return isText && strings.Contains(a.text, b.text) || a.kind == "L" && slices.ContainsFunc(a.list, b.equal)
}

func (c *compiler) operand(kind string, node language.Expression) (operand, error) {
	if call, ok := node.(*language.CallExpression); ok {
		return c.length(kind, call)
	}
	if placeholder, ok := node.(*language.Identifier); ok && strings.HasPrefix(placeholder.Value, ":") {
		value, ok := c.ExpressionAttributeValues[placeholder.Value]
		if !ok {
			return nil, invalid("Invalid %s: An expression attribute value used in expression is not defined; attribute value: %s", kind, placeholder.Value)
		}
		c.used[placeholder.Value] = true
		return func(item) (attribute, bool) { return value, true }, nil
	}
	p, err := c.path(kind, node)
	return p.of, err
}

// length compiles the function size.
func (c *compiler) length(kind string, call *language.CallExpression) (operand, error) {
	if call.Function.String() != "size" || len(call.Arguments) != 1 {
		return nil, invalid("Invalid %s: The function is not allowed here; function: %s", kind, call.Function.String())
	}
	of, err := c.operand(kind, call.Arguments[0])
	if err != nil {
		return nil, err
	}
	return func(it item) (attribute, bool) {
		a, ok := of(it)
		if !ok || !slices.Contains([]string{"S", "B", "L", "M"}, a.kind) {
			return attribute{}, false
		}
		n := len(a.text) + len(a.list) + len(a.fields) // one of them
		return attribute{kind: "N", text: strconv.Itoa(n)}, true
	}, nil
}

// Paths

// A path locates a value within an item: a.b[2].
type path []step

type step struct {
	name  string // of a map's entry
	index int    // of a list's element, where there is no name
}

func (c *compiler) path(kind string, node language.Expression) (path, error) {
	switch node := node.(type) {
	case *language.Identifier:
		name, err := c.name(kind, node.Value)
		c.roots[name] = true
		return path{{name: name}}, err
	case *language.IndexExpression:
		base, err := c.path(kind, node.Left)
		if err != nil {
			return nil, err
		}
		last := node.Index.String()
		if node.Type == language.ObjectTypeList {
			index, err := strconv.Atoi(last)
			if err != nil || index < 0 {
				return nil, syntaxError(kind)
			}
			return append(base, step{index: index}), nil
		}
		name, err := c.name(kind, last)
		return append(base, step{name: name}), err
	}
	return nil, syntaxError(kind)
}

func (c *compiler) name(kind, name string) (string, error) {
	switch {
	case strings.HasPrefix(name, "#"):
		attribute, ok := c.ExpressionAttributeNames[name]
		if !ok || attribute == "" {
			return "", invalid("Invalid %s: An expression attribute name used in the document path is not defined; attribute name: %s", kind, name)
		}
		c.used[name] = true
		return attribute, nil
	case language.IsReservedWord(strings.ToUpper(name)):
		return "", invalid("Invalid %s: Attribute name is a reserved keyword; reserved keyword: %s", kind, name)
	case name == "" || strings.HasPrefix(name, ":"):
		return "", syntaxError(kind)
	}
	return name, nil
}

// of returns the value at the path.
func (p path) of(it item) (attribute, bool) {
	a, ok := it[p[0].name]
	for _, s := range p[1:] {
		switch {
		case !ok:
			return attribute{}, false
		case s.name != "":
			a, ok = a.fields[s.name]
		case s.index < len(a.list):
			a = a.list[s.index]
		default:
			return attribute{}, false
		}
	}
	return a, ok
}

// projection is nil for a missing expression.
func (c *compiler) projection(text *string) ([]path, error) {
	const kind = "ProjectionExpression"
	if text == nil {
		return nil, nil
	}
	parser := language.NewParser(language.NewLexer(*text))
	nodes := parser.ParseProjectionExpression()
	if len(parser.Errors()) > 0 || len(nodes) == 0 {
		return nil, syntaxError(kind)
	}
	paths := make([]path, len(nodes))
	for i, node := range nodes {
		var err error
		if paths[i], err = c.path(kind, node); err != nil {
			return nil, err
		}
	}
	return paths, checkOverlap(kind, paths)
}

// checkOverlap refuses paths that are equal or contain one another.
func checkOverlap(kind string, paths []path) error {
	for i, a := range paths {
		for _, b := range paths[:i] {
			if n := min(len(a), len(b)); slices.Equal(a[:n], b[:n]) {
				return invalid("Invalid %s: Two document paths overlap with each other; must remove or rewrite one of these paths", kind)
			}
		}
	}
	return nil
}

// project returns the item itself if there are no paths.
func (it item) project(paths []path) item {
	if paths == nil || it == nil {
		return it
	}
	out := make(item)
	for _, p := range paths {
		if a, ok := p.of(it); ok {
			out[p[0].name] = out[p[0].name].graft(p[1:], a)
		}
	}
	return out
}

// graft adds the value at a path, with only the parents it needs.
func (a attribute) graft(p path, value attribute) attribute {
	switch {
	case len(p) == 0:
		return value
	case p[0].name == "":
		list := append(slices.Clone(a.list), attribute{}.graft(p[1:], value))
		return attribute{kind: "L", list: list}
	}
	fields := make(item)
	maps.Copy(fields, a.fields)
	fields[p[0].name] = fields[p[0].name].graft(p[1:], value)
	return attribute{kind: "M", fields: fields}
}

// Updates

const updateExpression = "UpdateExpression"

// An action is one of an update's changes.
type action struct {
	path  path
	value assigned // nil removes
}

// update returns the changes in an order in which they can be applied.
func (c *compiler) update(text *string) ([]action, error) {
	if text == nil {
		return nil, nil
	}
	parser := language.NewUpdateParser(language.NewLexer(*text))
	parsed, ok := parser.ParseUpdateExpression().Expression.(*language.UpdateExpression)
	if len(parser.Errors()) > 0 || !ok || len(parsed.Expressions) == 0 {
		return nil, syntaxError(updateExpression)
	}
	var actions []action
	var paths []path
	for _, node := range parsed.Expressions {
		one, ok := node.(*language.ActionExpression)
		if !ok {
			return nil, syntaxError(updateExpression)
		}
		a, err := c.action(one)
		if err != nil {
			return nil, err
		}
		actions, paths = append(actions, a), append(paths, a.path)
	}
	// Remove from the end of a list, so that other indexes stay valid.
	slices.SortStableFunc(actions, func(a, b action) int {
		switch {
		case a.value != nil && b.value != nil:
			return 0
		case a.value != nil:
			return -1
		case b.value != nil:
			return 1
		}
		return cmp.Compare(b.path[len(b.path)-1].index, a.path[len(a.path)-1].index)
	})
	return actions, checkOverlap(updateExpression, paths)
}

func (c *compiler) action(node *language.ActionExpression) (action, error) {
	target, err := c.path(updateExpression, node.Left)
	if err != nil {
		return action{}, err
	}
	switch node.Token.Type {
	case language.REMOVE:
		return action{path: target}, nil
	case language.SET:
		value, err := c.assigned(node.Right)
		return action{target, value}, err
	case language.ADD:
		change, err := c.assigned(node.Right)
		return action{target, func(it item) (attribute, error) {
			b, err := change(it)
			if a, ok := target.of(it); ok && err == nil {
				return a.plus(b, 1)
			}
			if err == nil && b.kind != "N" {
				err = invalid("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD")
			}
			return b, err
		}}, err
	}
	return action{}, syntaxError(updateExpression)
}

func (c *compiler) assigned(node language.Expression) (assigned, error) {
	switch node := node.(type) {
	case *language.InfixExpression:
		times, known := map[string]int64{"+": 1, "-": -1}[node.Operator]
		if !known {
			return nil, syntaxError(updateExpression)
		}
		return c.pair(node.Left, node.Right, func(a, b attribute) (attribute, error) { return a.plus(b, times) })
	case *language.CallExpression:
		return c.updateFunction(node)
	}
	of, err := c.operand(updateExpression, node)
	return func(it item) (attribute, error) {
		if a, ok := of(it); ok {
			return a, nil
		}
		return attribute{}, invalid("The provided expression refers to an attribute that does not exist in the item")
	}, err
}

func (c *compiler) pair(l, r language.Expression, do func(a, b attribute) (attribute, error)) (assigned, error) {
	left, err := c.assigned(l)
	if err != nil {
		return nil, err
	}
	right, err := c.assigned(r)
	return func(it item) (attribute, error) {
		a, err := left(it)
		if err != nil {
			return a, err
		}
		b, err := right(it)
		if err != nil {
			return b, err
		}
		return do(a, b)
	}, err
}

func (c *compiler) updateFunction(call *language.CallExpression) (assigned, error) {
	if len(call.Arguments) != 2 {
		return nil, syntaxError(updateExpression)
	}
	first, second := call.Arguments[0], call.Arguments[1]
	switch name := call.Function.String(); name {
	case "list_append":
		return c.pair(first, second, func(a, b attribute) (attribute, error) {
			if a.kind != "L" || b.kind != "L" {
				return a, invalid("An operand in the update expression has an incorrect data type")
			}
			return attribute{kind: "L", list: slices.Concat(a.list, b.list)}, nil
		})
	case "if_not_exists":
		old, err := c.path(updateExpression, first)
		if err != nil {
			return nil, err
		}
		otherwise, err := c.assigned(second)
		return func(it item) (attribute, error) {
			if a, ok := old.of(it); ok {
				return a, nil
			}
			return otherwise(it)
		}, err
	default:
		return nil, invalid("Invalid UpdateExpression: Invalid function name; function: %s", name)
	}
}

// updated is the item after all actions, each of which sees the original.
func (it item) updated(actions []action) (item, error) {
	out := it
	for _, act := range actions {
		var value *attribute
		if act.value != nil {
			a, err := act.value(it)
			if err != nil {
				return nil, err
			}
			value = &a
		}
		var err error
		if out, err = out.with(act.path, value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func noSuchPath() *refusal {
	return invalid("The document path provided in the update expression is invalid for update")
}

// with returns a copy with the value at the path set, or removed.
func (it item) with(p path, value *attribute) (item, error) {
	out := make(item, len(it)+1)
	maps.Copy(out, it)
	name := p[0].name
	switch {
	case len(p) > 1:
		inner, err := it[name].with(p[1:], value)
		if err != nil {
			return nil, err
		}
		out[name] = inner
	case value == nil:
		delete(out, name)
	default:
		out[name] = *value
	}
	return out, nil
}

func (a attribute) with(p path, value *attribute) (attribute, error) {
	if p[0].name != "" && a.kind == "M" {
		fields, err := a.fields.with(p, value)
		return attribute{kind: "M", fields: fields}, err
	}
	if p[0].name != "" || a.kind != "L" {
		return a, noSuchPath()
	}
	list, i := slices.Clone(a.list), p[0].index
	switch {
	case len(p) > 1:
		if i >= len(list) {
			return a, noSuchPath()
		}
		inner, err := list[i].with(p[1:], value)
		if err != nil {
			return a, err
		}
		list[i] = inner
	case value == nil && i < len(list):
		list = slices.Delete(list, i, i+1)
	case value != nil && i < len(list):
		list[i] = *value
	case value != nil:
		list = append(list, *value)
	}
	return attribute{kind: "L", list: list}, nil
}
