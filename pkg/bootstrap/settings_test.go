package bootstrap_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/bootstrap"
)

func read(t *testing.T, env map[string]string) (bootstrap.Settings, error) {
	t.Helper()
	return bootstrap.ReadSettings(func(name string) string { return env[name] })
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got, err := read(t, nil)
	want := bootstrap.Settings{
		WeChatBaseURLs:    []string{"https://api.weixin.qq.com"},
		SecretPrefix:      "wechat/draftbox",
		ParameterPrefix:   "/wechat/draftbox",
		StateTable:        "wechat-draftbox-state",
		TokenTable:        "wechat-draftbox-tokens",
		EventBusName:      "default",
		AccountTokenStore: bootstrap.SecretsManager,
		HistoryRetention:  365 * 24 * time.Hour,
		TokenCacheTTL:     5 * time.Minute,
		DraftCacheTTL:     30 * time.Second,
		LogLevel:          slog.LevelInfo,
		ManageTokens:      true,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(bootstrap.Allowlist{})); diff != "" || err != nil {
		t.Errorf("err %v, diff %s", err, diff)
	}
	if got.Openable.Allows("wx0000000000000001") {
		t.Error("no switch may be opened by default")
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	got, err := read(t, map[string]string{
		"WECHAT_API_BASE_URL": "https://api.weixin.qq.com/, http://127.0.0.1:8080/base/",
		"STATE_TABLE":         "draftbox-StateTable-1ABC",
		"TOKEN_TABLE":         "draftbox.tokens",
		"MINI_PROGRAMS":       "ignore",

		"HISTORY_RETENTION_DAYS": "0",

		"SECRET_PREFIX":       "a/b/",
		"PARAMETER_PREFIX":    "/a/b/",
		"EVENT_BUS_NAME":      "arn:aws-cn:events:cn-north-1:123456789012:event-bus/drafts",
		"OPENABLE_ACCOUNTS":   "wx0000000000000001, wx000000000000000A,",
		"ACCOUNT_TOKEN_STORE": "dynamodb",
		"KMS_KEY_ARN":         "arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-0a",
		"TOKEN_CACHE_TTL":     "0s",
		"DRAFT_CACHE_TTL":     "1m30s",
		"LOG_LEVEL":           "WARN",
		"SWITCH_QUEUE_URL":    "https://sqs.us-east-1.amazonaws.com/123456789012/q",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"https://api.weixin.qq.com", "http://127.0.0.1:8080/base"}, got.WeChatBaseURLs); diff != "" {
		t.Error(diff)
	}
	if got.SecretPrefix != "a/b" || got.ParameterPrefix != "/a/b" || got.TokenCacheTTL != 0 || got.DraftCacheTTL != 90*time.Second || got.LogLevel != slog.LevelWarn {
		t.Errorf("got %+v", got)
	}
	if got.StateTable != "draftbox-StateTable-1ABC" || got.TokenTable != "draftbox.tokens" || got.AccountTokenStore != bootstrap.DynamoDB ||
		!got.IgnoreMiniPrograms || got.HistoryRetention != 0 {
		t.Errorf("got %+v", got)
	}
	if !got.Openable.Allows("wx000000000000000A") || got.Openable.Allows("wx000000000000000a") {
		t.Error("appids are compared as they stand")
	}
	star, _ := read(t, map[string]string{"OPENABLE_ACCOUNTS": "*"})
	if !star.Openable.Allows("wx0000000000000009") {
		t.Error("* allows all")
	}
}

func TestUnusableValuesStopTheStartWithOneLine(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"WECHAT_API_BASE_URL":     {"api.weixin.qq.com", "ftp://x", "https://", "https://x?a=b", "https://u:p4ssword@x", "https://a,,https://b", "http://\x7f"},
		"SECRET_PREFIX":           {"a b", "ä", strings.Repeat("a", 201)},
		"PARAMETER_PREFIX":        {"wechat", "/a b"},
		"EVENT_BUS_NAME":          {"a b", "arn:aws:s3:::x"},
		"SWITCH_QUEUE_URL":        {"queue"},
		"AUTHORIZATION_QUEUE_URL": {"arn:aws:sqs:us-east-1:123456789012:q"},
		"OPENABLE_ACCOUNTS":       {"wx1", "all", "wx0000000000000001;wx0000000000000002"},
		"STATE_TABLE":             {"a/b", "ä", strings.Repeat("a", 256)},
		"TOKEN_TABLE":             {"arn:aws:dynamodb:us-east-1:123456789012:table/t"},
		"ACCOUNT_TOKEN_STORE":     {"ssm", "DynamoDB"},
		"MINI_PROGRAMS":           {"yes"},
		"HISTORY_RETENTION_DAYS":  {"-1", "1.5", "a year", "36501"},
		"KMS_KEY_ARN":             {"alias/mine", "arn:aws:kms:us-east-1:123456789012:alias/mine"},
		"TOKEN_CACHE_TTL":         {"-1s", "5", "five minutes"},
		"DRAFT_CACHE_TTL":         {"-30s", "30"},
		"LOG_LEVEL":               {"loud", "info+2"},
		"MANAGE_TOKENS":           {"yes", "1"},
		"EGRESS_IP":               {"203.0.113", "nat"},
	} {
		for _, value := range values {
			_, err := read(t, map[string]string{name: value})
			if err == nil || !strings.HasPrefix(err.Error(), name+" can't be used: ") || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "p4ssword") {
				t.Errorf("%s=%q: %v", name, value, err)
			}
		}
	}
	if _, err := read(t, map[string]string{"LOG_LEVEL": "x", "DRAFT_CACHE_TTL": "x"}); err == nil || strings.Count(err.Error(), "can't be used") != 2 {
		t.Errorf("all faults at once, got %v", err)
	}
}
