// Package telemetry writes log lines, audit lines and metrics.
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
	// Audit records who did what can't be undone. Its lines are written at every log level, always in JSON.
	Audit *slog.Logger
}

// NewLog makes a log of the records at level and above, in the format that Lambda is configured for.
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

// atLeast filters by its own level, not by Lambda's log level: Lambda would drop metrics and audit lines too.
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
