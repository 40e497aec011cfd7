package main

import (
	"fmt"
	"slices"
	"strings"
)

const header = `| | this bundle | minimal Lambda, same SDK clients | minimal Lambda, Secrets Manager alone | ratio | at most |
| --- | ---: | ---: | ---: | ---: | ---: |
`

// row is one quantity of the bundle, and what it is held against.
type row struct {
	what    string
	format  string // of all its values
	value   float64
	minimal []float64 // the same quantity of the two minimal Lambdas; none where they have nothing like it
	limit   float64   // what it is held against where there is no minimal Lambda; 0: nothing
	atMost  []float64 // the highest ratios to them, in their order; where it ends, they are told for information
	never   bool      // the value has to be 0
}

// never is the row of something that must not happen.
func never(what string, times int) row {
	return row{what: what, format: "%.0f", value: float64(times), never: true}
}

// ratios are those of the value to each quantity that it is held against.
func (r row) ratios() (ratios []float64) {
	against := r.minimal
	if r.limit > 0 {
		against = []float64{r.limit}
	}
	for _, a := range against {
		ratios = append(ratios, r.value/a)
	}
	return ratios
}

func (r row) missed() bool {
	if r.never && r.value > 0 {
		return true
	}
	ratios := r.ratios()
	for i, most := range r.atMost {
		if ratios[i] > most {
			return true
		}
	}
	return false
}

// String is the row in Markdown.
func (r row) String() string {
	minimal := []string{"", ""}
	for i, value := range r.minimal {
		minimal[i] = fmt.Sprintf(r.format, value)
	}
	atMost := each("%g", r.atMost)
	if r.limit > 0 {
		atMost += " × " + fmt.Sprintf(r.format, r.limit)
		atMost = strings.TrimPrefix(atMost, "1 × ")
	}
	if r.never {
		atMost = "0"
	}
	if r.missed() {
		atMost += " (missed)"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |", r.what, fmt.Sprintf(r.format, r.value), strings.Join(minimal, " | "),
		each("%.2f", r.ratios()), atMost)
}

func each(format string, values []float64) string {
	var texts []string
	for _, v := range values {
		texts = append(texts, fmt.Sprintf(format, v))
	}
	return strings.Join(texts, ", ")
}

// quantile is the value that the part q of all values lies below.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
