package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

const notifyTask = `{"task": "notify-test"}`

var errNotTaken = errors.New("not every robot took its message")

// notifyTest prints which robots accepted the message. The error is [errNotTaken] if one did not.
func notifyTest(ctx context.Context, ask asker, out io.Writer) error {
	result, err := ask(ctx)
	if err != nil {
		return err
	}
	var tested struct {
		Task   string
		Robots []struct {
			Name, Detail string
			OK           bool
		}
	}
	if err := json.Unmarshal(result, &tested); err != nil || tested.Task != "notify-test" {
		return fmt.Errorf("the result of notify-test can't be read: %s", result)
	}
	if len(tested.Robots) == 0 {
		fmt.Fprintln(out, "There are no robots; make secrets NOTIFY=1 FILE=robots.json stores them.")
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range tested.Robots {
		state := "ok"
		if !r.OK {
			state, err = "FAULT", errNotTaken
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", state, r.Name, strings.Join(wrap(r.Detail), "\n\t\t"))
	}
	table.Flush()
	return err
}
