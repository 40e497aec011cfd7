package telemetry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/telemetry"
)

func TestLevels(t *testing.T) {
	t.Parallel()
	for level, want := range map[slog.Level][]string{
		slog.LevelDebug: {"debug", "info", "warn", "error", "audit"},
		slog.LevelInfo:  {"info", "warn", "error", "audit"},
		slog.LevelWarn:  {"warn", "error", "audit"},
		slog.LevelError: {"error", "audit"},
	} {
		var out bytes.Buffer
		// The handler's own level, which Lambda sets, must not decide.
		log := telemetry.LogTo(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelError}), level)
		log.Debug("debug")
		log.With("a", 1).WithGroup("g").Info("info")
		log.Warn("warn")
		log.Error("error")
		log.Audit.Info("audit", "token", secret.New("84_hidden"))
		var got []string
		for line := range bytes.Lines(out.Bytes()) {
			var record struct{ Msg, Token string }
			if err := json.Unmarshal(line, &record); err != nil {
				t.Fatal(err)
			}
			got = append(got, record.Msg)
			if record.Msg == "audit" && record.Token != "REDACTED" {
				t.Errorf("a secret is logged as %q", record.Token)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: %s", level, diff)
		}
	}
}

// Audit lines are read by programs. Here, as where an operator configures Lambda for text logs, other lines
// are no JSON.
func TestAuditLinesAreJSON(t *testing.T) { //nolint:paralleltest // it takes over standard output
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = in
	log := telemetry.NewLog(slog.LevelError)
	os.Stdout = stdout
	log.Error("text")
	log.Audit.Info("opened", "audit", "draft-switch-open")
	in.Close()
	written, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	text, audit, _ := bytes.Cut(written, []byte("\n"))
	var record map[string]string
	if err := json.Unmarshal(audit, &record); err != nil || record["message"] != "opened" || record["audit"] != "draft-switch-open" ||
		record["timestamp"] == "" || json.Valid(text) {
		t.Errorf("%s", written)
	}
}
