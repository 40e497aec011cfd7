package main

import (
	"fmt"
	"slices"
	"strings"
)

const header = `| | this bundle | minimal Lambda | with Secrets Manager alone | floor | ratio | at most |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
`

// leeway is how far a ratio of times or memory may exceed its target, since the machine does other work too.
const leeway = 1.1

// row is one quantity of the bundle and its reference.
type row struct {
	what                  string
	format                string // of all values
	value                 float64
	minimal, alone, floor float64   // the same quantity of the other programs; 0: none
	limit                 float64   // a fixed reference in place of a program; 0: none
	ratios                []float64 // one per run; without a limit and ratios the row is for information
	atMost                float64   // the target ratio; 0: none
	exact                 bool      // a count: the value itself is compared with atMost, without leeway
}

// runs are the values that were measured in each run.
type runs [][]float64

func (r runs) all() []float64 { return slices.Concat(r...) }

// compare is a row with the minimal Lambdas as reference. Its ratios are medians of the ratios within each round.
// alone may be nil.
func compare(what, format string, atMost float64, ours, minimal, alone runs) row {
	r := row{what: what, format: format, value: quantile(ours.all(), 0.5), minimal: quantile(minimal.all(), 0.5), atMost: atMost}
	if alone != nil {
		r.alone = quantile(alone.all(), 0.5)
	}
	for run := range ours {
		ratios := make([]float64, len(ours[run]))
		for i := range ratios {
			ratios[i] = ours[run][i] / minimal[run][i]
		}
		r.ratios = append(r.ratios, quantile(ratios, 0.5))
	}
	return r
}

// tail is a row of the 99th percentile, for information.
func tail(what string, ours, minimal, alone runs) row {
	return row{what: what, format: "%.2f ms", value: quantile(ours.all(), 0.99), minimal: quantile(minimal.all(), 0.99), alone: quantile(alone.all(), 0.99)}
}

// within is a row with a fixed limit.
func within(what, format string, value, limit, most float64) row {
	return row{what: what, format: format, value: value, limit: limit, ratios: []float64{value / limit}, atMost: most}
}

// atMost is a row of a count.
func atMost(what string, count, most int) row {
	return row{what: what, format: "%.0f", value: float64(count), atMost: float64(most), exact: true}
}

// merge adds another run's rows: it joins their ratios and takes the higher count.
func merge(rows, again []row) []row {
	if rows == nil {
		return again
	}
	for i, r := range again {
		into := &rows[i]
		into.ratios = append(into.ratios, r.ratios...)
		if r.exact {
			into.value = max(into.value, r.value)
		} else {
			into.value = into.limit * into.ratio()
		}
	}
	return rows
}

// ratio is the median of the runs.
func (r row) ratio() float64 { return quantile(r.ratios, 0.5) }

func (r row) hasTarget() bool { return r.exact || r.atMost > 0 }

func (r row) missed() bool {
	if r.exact {
		return r.value > r.atMost
	}
	return r.atMost > 0 && r.ratio() > r.atMost*leeway
}

// String is the row in Markdown.
func (r row) String() string {
	cells := []string{r.what, fmt.Sprintf(r.format, r.value)}
	for _, other := range []float64{r.minimal, r.alone, r.floor} {
		cell := ""
		if other > 0 {
			cell = fmt.Sprintf(r.format, other)
		}
		cells = append(cells, cell)
	}
	return "| " + strings.Join(append(cells, r.ratioCell(), r.targetCell()), " | ") + " |"
}

// ratioCell shows the ratio, with the lowest and the highest of the runs.
func (r row) ratioCell() string {
	switch len(r.ratios) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%.2f", r.ratios[0])
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", r.ratio(), slices.Min(r.ratios), slices.Max(r.ratios))
}

func (r row) targetCell() string {
	cell := ""
	switch {
	case r.limit > 0:
		cell = strings.TrimPrefix(fmt.Sprintf("%g × "+r.format, r.atMost, r.limit), "1 × ")
	case r.hasTarget():
		cell = fmt.Sprintf("%g", r.atMost)
	}
	if r.missed() {
		cell += " (missed)"
	}
	return cell
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
