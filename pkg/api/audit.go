package api

import (
	"context"
	"log/slog"

	"wechat-draftbox/pkg/telemetry"
)

// Audit leaves a line in the log, whatever its level, about something that can't be undone: what was tried on which
// object, with which outcome, and for whom.
func (r *Request) Audit(ctx context.Context, log telemetry.Log, what, outcome string, object slog.Attr) {
	log.Audit.LogAttrs(ctx, slog.LevelInfo, what, slog.String("audit", what), object, slog.String("outcome", outcome),
		slog.String("caller", r.Caller), slog.String("source_ip", r.Source), slog.String("request_id", r.ID))
}
