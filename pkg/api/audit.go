package api

import (
	"context"
	"log/slog"

	"wechat-draftbox/pkg/telemetry"
)

// Audit logs, at every log level, an attempt at something that can't be undone: what, on which object, with which outcome
// and for which caller.
func (r *Request) Audit(ctx context.Context, log telemetry.Log, what, outcome string, object slog.Attr) {
	log.Audit.LogAttrs(ctx, slog.LevelInfo, what, slog.String("audit", what), object, slog.String("outcome", outcome),
		slog.String("caller", r.Caller), slog.String("source_ip", r.Source), slog.String("request_id", r.ID))
}
