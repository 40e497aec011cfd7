// Package telemetry is what the functions tell their operators: log lines, audit lines and metrics.
package telemetry

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// Log is a function's log.
type Log struct {
	*slog.Logger
	// Audit is for lines that are written at every level, and always in JSON: who did what can't be undone.
	Audit *slog.Logger
}

// NewLog makes a log of the records at level and above, in the format that Lambda asks for.
func NewLog(level slog.Level) Log {
	log := newLog(lambdacontext.NewLogHandler(), level)
	log.Audit = slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: lambdacontext.ReplaceAttr}))
	return log
}

// LogTo makes a log that writes through h.
func LogTo(h slog.Handler, level slog.Level) Log { return newLog(h, level) }

func newLog(h slog.Handler, level slog.Level) Log {
	return Log{slog.New(atLeast{h, level}), slog.New(atLeast{h, slog.LevelDebug})}
}

// atLeast decides by its own level alone: aws-lambda-go's handler has one of Lambda's, which the bundle leaves be
// because Lambda would also drop metrics and audit lines by it.
type atLeast struct {
	slog.Handler
	level slog.Level
}

func (h atLeast) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{h.Handler.WithAttrs(attrs), h.level}
}

func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{h.Handler.WithGroup(name), h.level}
}
