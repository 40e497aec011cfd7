package awstest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An attribute is a DynamoDB value, immutable once stored.
type attribute struct {
	kind   string // "S", "N", "B", "BOOL", "NULL", "L" or "M"
	text   string // S, N in its shortest form, the bytes of B
	truth  bool
	list   []attribute
	fields item
}

// An item is immutable once stored, so reading one needs no lock.
type item map[string]attribute

func textAttribute(s string) attribute { return attribute{kind: "S", text: s} }

func invalid(format string, args ...any) *refusal {
	return refuse("ValidationException", format, args...)
}

// UnmarshalJSON parses values such as {"S": "text"}.
func (a *attribute) UnmarshalJSON(b []byte) error {
	var tagged map[string]json.RawMessage
	if err := json.Unmarshal(b, &tagged); err != nil || len(tagged) != 1 {
		return invalid("Supplied AttributeValue has to contain exactly one of the supported datatypes")
	}
	for kind, raw := range tagged {
		a.kind = kind
		return a.read(raw)
	}
	return nil
}

func (a *attribute) read(raw json.RawMessage) (err error) {
	switch a.kind {
	case "S":
		return json.Unmarshal(raw, &a.text)
	case "N":
		if err = json.Unmarshal(raw, &a.text); err == nil {
			a.text, err = shortest(a.text)
		}
	case "B":
		var binary []byte
		err = json.Unmarshal(raw, &binary)
		a.text = string(binary)
	case "BOOL":
		err = json.Unmarshal(raw, &a.truth)
	case "NULL":
		if err = json.Unmarshal(raw, &a.truth); err == nil && !a.truth {
			err = invalid("Null attribute value types must have the value of true")
		}
	case "L":
		err = json.Unmarshal(raw, &a.list)
	case "M":
		err = json.Unmarshal(raw, &a.fields)
	default:
		err = invalid("the stand-in does not know the type %s", strconv.Quote(a.kind))
	}
	return err
}

// MarshalJSON encodes the whole item at once, since a page has thousands of values.
func (it item) MarshalJSON() ([]byte, error) { return it.append(nil), nil }

func (it item) append(b []byte) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(it)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		b = it[name].append(b)
	}
	return append(b, '}')
}

// MarshalJSON encodes values such as {"S": "text"}.
func (a attribute) MarshalJSON() ([]byte, error) { return a.append(nil), nil }

func (a attribute) append(b []byte) []byte {
	b = append(append(append(b, `{"`...), a.kind...), `":`...)
	switch a.kind {
	case "S", "N":
		b = appendText(b, a.text)
	case "B":
		b = append(base64.StdEncoding.AppendEncode(append(b, '"'), []byte(a.text)), '"')
	case "BOOL", "NULL":
		b = strconv.AppendBool(b, a.truth)
	case "M":
		b = a.fields.append(b)
	case "L":
		b = append(b, '[')
		for i, element := range a.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = element.append(b)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendText(b []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // a string has no error
	return append(b, quoted...)
}

// size is DynamoDB's item size: names and values in UTF-8, numbers at two digits a byte, and an overhead for lists and
// maps.
func (it item) size() (n int) {
	for name, a := range it {
		n += len(name) + a.size()
	}
	return n
}

func (a attribute) size() int {
	switch a.kind {
	case "S", "B":
		return len(a.text)
	case "N":
		return (len(strings.Trim(a.text, "-.0"))+1)/2 + 1
	case "L":
		n := 3
		for _, element := range a.list {
			n += 1 + element.size()
		}
		return n
	case "M":
		return 3 + len(a.fields) + a.fields.size()
	}
	return 1
}

// Numbers

var numberPattern = regexp.MustCompile(`^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,3})?$`)

const maxDigits = 38

// shortest is DynamoDB's form of a number: 1 for 1.0, 1000 for 1e3.
func shortest(number string) (string, error) {
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		return strconv.FormatInt(n, 10), nil
	}
	if !numberPattern.MatchString(number) {
		return "", invalid("A value provided cannot be converted into a number")
	}
	value, _ := new(big.Rat).SetString(number)
	text := decimal(value)
	switch digits := strings.Trim(strings.ReplaceAll(text, ".", ""), "-0"); {
	case len(digits) > maxDigits:
		return "", invalid("Attempting to store more than 38 significant digits in a Number")
	case len(text) > 200:
		return "", invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
	}
	return text, nil
}

func decimal(value *big.Rat) string {
	places, _ := value.FloatPrec()
	return value.FloatString(places)
}

func (a attribute) number() *big.Rat {
	value, _ := new(big.Rat).SetString(a.text)
	return value
}

// plus adds times × b, where times is 1 or -1.
func (a attribute) plus(b attribute, times int64) (attribute, error) {
	if a.kind != "N" || b.kind != "N" {
		return attribute{}, invalid("An operand in the update expression has an incorrect data type")
	}
	change := new(big.Rat).Mul(b.number(), new(big.Rat).SetInt64(times))
	text, err := shortest(decimal(change.Add(change, a.number())))
	return attribute{kind: "N", text: text}, err
}

// Comparing

func (a attribute) equal(b attribute) bool {
	return a.kind == b.kind && a.text == b.text && a.truth == b.truth &&
		slices.EqualFunc(a.list, b.list, attribute.equal) && maps.EqualFunc(a.fields, b.fields, attribute.equal)
}

// compare orders two values of one type; ok is false if they have no order.
func (a attribute) compare(b attribute) (order int, ok bool) {
	switch {
	case a.kind != b.kind:
		return 0, false
	case a.kind == "S" || a.kind == "B":
		return strings.Compare(a.text, b.text), true
	case a.kind == "N":
		return a.number().Cmp(b.number()), true
	}
	return 0, false
}

// Go's values

// attributeOf panics on values that DynamoDB would refuse.
func attributeOf(v any) attribute {
	switch v := v.(type) {
	case nil:
		return attribute{kind: "NULL", truth: true}
	case string:
		return textAttribute(v)
	case []byte:
		return attribute{kind: "B", text: string(v)}
	case bool:
		return attribute{kind: "BOOL", truth: v}
	case int, int64, float64, json.Number:
		text, err := shortest(fmt.Sprint(v))
		if err != nil {
			panic("awstest: " + err.Error())
		}
		return attribute{kind: "N", text: text}
	case []string:
		return listOf(v)
	case []any:
		return listOf(v)
	case map[string]any:
		return attribute{kind: "M", fields: itemOf(v)}
	}
	panic(fmt.Sprintf("awstest: an item can't hold a %T", v))
}

func listOf[T any](values []T) attribute {
	list := make([]attribute, len(values))
	for i, v := range values {
		list[i] = attributeOf(v)
	}
	return attribute{kind: "L", list: list}
}

func itemOf(values map[string]any) item {
	it := make(item, len(values))
	for name, v := range values {
		it[name] = attributeOf(v)
	}
	return it
}

func (a attribute) value() any {
	switch a.kind {
	case "S":
		return a.text
	case "N":
		return json.Number(a.text)
	case "B":
		return []byte(a.text)
	case "BOOL":
		return a.truth
	case "L":
		list := make([]any, len(a.list))
		for i, element := range a.list {
			list[i] = element.value()
		}
		return list
	case "M":
		return a.fields.values()
	}
	return nil
}

func (it item) values() map[string]any {
	values := make(map[string]any, len(it))
	for name, a := range it {
		values[name] = a.value()
	}
	return values
}
