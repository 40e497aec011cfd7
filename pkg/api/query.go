package api

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"wechat-draftbox/pkg/fault"
)

// MaxLimit is the most entries that a list's query can ask for.
const MaxLimit = 1000

// ReadQuery parses query parameters, each with its parser, whose error says what the value must be. An unknown or
// unusable one is an invalid request, with an error that lists the known parameters.
func ReadQuery(values url.Values, parameters map[string]func(string) error) error {
	there := strings.Join(slices.Sorted(maps.Keys(parameters)), ", ")
	for _, name := range slices.Sorted(maps.Keys(values)) {
		read, known := parameters[name]
		if !known {
			return fault.Invalid(fmt.Sprintf("there is no query parameter %q; there are %s", name, there))
		}
		if len(values[name]) != 1 {
			return fault.Invalid(fmt.Sprintf("the query parameter %s may stand there once; there are %s", name, there))
		}
		if err := read(values.Get(name)); err != nil {
			return fault.Invalid(fmt.Sprintf("the query parameter %s can't be used: it must be %s; there are %s", name, err, there))
		}
	}
	return nil
}

// OneOf is an error that names the words, unless v is one of them.
func OneOf(v string, words ...string) error {
	if slices.Contains(words, v) {
		return nil
	}
	return fmt.Errorf("one of %s", strings.Join(words, ", "))
}

// Limit reads how many entries an answer may have, 1 to 1000.
func Limit(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > MaxLimit {
		return 0, fmt.Errorf("a whole number from 1 to %d", MaxLimit)
	}
	return n, nil
}
