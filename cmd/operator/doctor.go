package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

const doctorTask = `{"task": "doctor"}`

// asker runs a task of a function and returns its result.
type asker func(context.Context) ([]byte, error)

// deployedDoctor runs the doctor of a deployed stack.
func deployedDoctor(client *lambda.Client, stack string) asker {
	return deployedTask(client, stack+"-tokens", doctorTask)
}

// localDoctor runs the doctor of the local run.
func localDoctor(address string) asker { return localTask(address, "tokens", doctorTask) }

// deployedTask runs a task of the function of that name.
func deployedTask(client *lambda.Client, name, task string) asker {
	return func(ctx context.Context) ([]byte, error) {
		got, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(name), Payload: []byte(task)})
		if err != nil {
			return nil, fmt.Errorf("invoke %s: %w", name, err)
		}
		if got.FunctionError != nil {
			return nil, fmt.Errorf("%s failed: %s", name, got.Payload)
		}
		return got.Payload, nil
	}
}

// localTask runs a task of a function of the local run.
func localTask(address, function, task string) asker {
	return func(ctx context.Context) ([]byte, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/_local/invoke/"+function, strings.NewReader(task))
		if err != nil {
			return nil, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, fmt.Errorf("ask the local run (is `make run` running?): %w", err)
		}
		defer response.Body.Close()
		result, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("the local run answered %d: %s", response.StatusCode, result)
		}
		return result, err
	}
}

// maxColumn is the width at which the last column wraps, so that the table fits a terminal.
const maxColumn = 88

// wrap breaks a text into lines at word boundaries.
func wrap(text string) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > maxColumn {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

var errNotWell = errors.New("some checks failed")

// doctor prints the doctor's result. The error is [errNotWell] if a check failed.
func doctor(ctx context.Context, ask asker, out io.Writer) error {
	result, err := ask(ctx)
	if err != nil {
		return err
	}
	var diagnosis struct {
		OK     bool
		Checks []struct {
			Name, Detail, Action string
			OK                   bool
		}
	}
	if err := json.Unmarshal(result, &diagnosis); err != nil || len(diagnosis.Checks) == 0 {
		return fmt.Errorf("the doctor's result can't be read: %s", result)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range diagnosis.Checks {
		state := "ok"
		if !c.OK {
			state = "FAULT"
		}
		lines := wrap(c.Detail)
		if c.Action != "" {
			lines = append(lines, "→ "+strings.Join(wrap(c.Action), "\n\t\t  "))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", state, c.Name, strings.Join(lines, "\n\t\t"))
	}
	table.Flush()
	if !diagnosis.OK {
		return errNotWell
	}
	return nil
}
