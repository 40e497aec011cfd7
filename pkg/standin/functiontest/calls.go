package functiontest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
)

// callsFile is a variable that names a file for each function's AWS calls. The check of the functions' roles sets it.
const callsFile = "WECHAT_DRAFTBOX_CALLS"

// worldCalls is a line of that file: the calls in one test's world.
type worldCalls struct {
	Function string            `json:"function"` // the folder of the test
	Env      map[string]string `json:"env"`
	Tasks    []string          `json:"tasks"` // that it was invoked with; "" is any other event
	Calls    [][2]string       `json:"calls"` // operation and resource, each pair once
}

// recordCalls appends this world's AWS calls to the file, if it is set.
func (w *World) recordCalls() {
	name := os.Getenv(callsFile)
	if name == "" {
		return
	}
	folder, err := os.Getwd() // go test runs a test in its folder
	if err != nil {
		w.t.Error(err)
		return
	}
	line := worldCalls{Function: filepath.Base(folder), Env: w.Env, Tasks: append([]string{}, w.tasks...), Calls: [][2]string{}}
	for _, call := range w.AWS.Recorded() {
		if pair := [2]string{call.Operation, call.Resource}; !slices.Contains(line.Calls, pair) {
			line.Calls = append(line.Calls, pair)
		}
	}
	text, err := json.Marshal(line)
	if err != nil {
		w.t.Error(err)
		return
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		w.t.Error(err)
		return
	}
	defer file.Close()
	if _, err := file.Write(append(text, '\n')); err != nil { // one write, for tests of several packages at once
		w.t.Error(err)
	}
}

// invoked records the task of an event.
func (w *World) invoked(event json.RawMessage) {
	var named struct {
		Task string `json:"task"`
	}
	json.Unmarshal(event, &named) // what is no object names no task
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.tasks, named.Task) {
		w.tasks = append(w.tasks, named.Task)
	}
}
