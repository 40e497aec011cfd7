package bootstrap

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"wechat-draftbox/pkg/wechat"
)

// AccountTokenStore says where the accounts' tokens are.
type AccountTokenStore string

// The stores.
const (
	SecretsManager AccountTokenStore = "secretsmanager"
	DynamoDB       AccountTokenStore = "dynamodb"
)

// Settings are what the operator can set. docs/configuration.md explains each.
type Settings struct {
	WeChatBaseURLs        []string // without a slash at the end
	SecretPrefix          string   // without a slash at the end
	ParameterPrefix       string   // with one at the start, without one at the end
	StateTable            string
	TokenTable            string // used where AccountTokenStore is DynamoDB
	EventBusName          string // or ARN
	SwitchQueueURL        string
	AuthorizationQueueURL string
	NoticeQueueURL        string // empty: retries come after the queue's visibility timeout
	Openable              Allowlist
	AccountTokenStore     AccountTokenStore
	IgnoreMiniPrograms    bool          // their tokens are not renewed
	HistoryRetention      time.Duration // of a draft after it left the box; 0: forever
	KMSKey                string        // ARN of the key for new secrets and parameters; empty: AWS's own
	TokenCacheTTL         time.Duration
	DraftCacheTTL         time.Duration
	LogLevel              slog.Level

	// These two are only reported by doctor.
	ManageTokens bool   // false: a token server of the operator's own writes the token secrets
	EgressIP     string // the stack's Elastic IP, or empty
}

// Allowlist are the accounts whose draft switch may be opened.
type Allowlist struct {
	all    bool
	appIDs []string
}

// Allows reports whether the account's switch may be opened.
func (o Allowlist) Allows(appID string) bool { return o.all || slices.Contains(o.appIDs, appID) }

// set parses a comma-separated list of appids, or * for every account.
func (o *Allowlist) set(list string) error {
	for one := range strings.SplitSeq(list, ",") {
		switch one = strings.TrimSpace(one); {
		case one == "*":
			o.all = true
		case wechat.IsAppID(one):
			o.appIDs = append(o.appIDs, one)
		case one != "":
			return fmt.Errorf("%q is no appid (wx and 16 letters or digits), nor *", one)
		}
	}
	return nil
}

var (
	secretName    = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]+$`)
	tableName     = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	parameterName = regexp.MustCompile(`^/[A-Za-z0-9/_.-]+$`)
	kmsKey        = regexp.MustCompile(`^arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9A-Za-z-]+$`)
	busName       = regexp.MustCompile(`^(arn:[a-z0-9-]+:events:[a-z0-9-]+:[0-9]{12}:event-bus/)?[A-Za-z0-9/_.-]+$`)
)

// Length limits: AWS's, less room for what is appended to a prefix. In the patterns such counts would cost every cold
// start a millisecond.
const (
	maxPrefixLength = 200
	maxTableLength  = 255
	maxBusLength    = 1600
	maxKeyLength    = 2048

	maxRetentionDays = 36500 // days; more don't fit into a time.Duration for long
)

// ReadSettings reads the settings through getenv, such as [os.Getenv]. An empty variable has its default. The error
// names every invalid variable, in one line.
func ReadSettings(getenv func(string) string) (Settings, error) {
	r := reader{getenv: getenv}
	table := matches(tableName, maxTableLength, "it must be the name of a DynamoDB table")
	s := Settings{
		SecretPrefix: strings.TrimRight(r.text("SECRET_PREFIX", "wechat/draftbox",
			matches(secretName, maxPrefixLength, "it must be letters, digits and any of /_+=.@-")), "/"),
		ParameterPrefix: strings.TrimRight(r.text("PARAMETER_PREFIX", "/wechat/draftbox",
			matches(parameterName, maxPrefixLength+1, "it must begin with / and hold letters, digits and any of /_.-")), "/"),
		StateTable:            r.text("STATE_TABLE", "wechat-draftbox-state", table),
		TokenTable:            r.text("TOKEN_TABLE", "wechat-draftbox-tokens", table),
		EventBusName:          r.text("EVENT_BUS_NAME", "default", matches(busName, maxBusLength, "it must be the name or ARN of an event bus")),
		SwitchQueueURL:        r.text("SWITCH_QUEUE_URL", "", isBaseURL),
		AuthorizationQueueURL: r.text("AUTHORIZATION_QUEUE_URL", "", isBaseURL),
		NoticeQueueURL:        r.text("NOTICE_QUEUE_URL", "", isBaseURL),
		AccountTokenStore:     AccountTokenStore(r.oneOf("ACCOUNT_TOKEN_STORE", string(SecretsManager), string(DynamoDB))),
		IgnoreMiniPrograms:    r.oneOf("MINI_PROGRAMS", "keep", "ignore") == "ignore",
		ManageTokens:          r.oneOf("MANAGE_TOKENS", "true", "false") == "true",
		KMSKey:                r.text("KMS_KEY_ARN", "", matches(kmsKey, maxKeyLength, "it must be the ARN of a KMS key")),
		TokenCacheTTL:         r.duration("TOKEN_CACHE_TTL", "5m"),
		DraftCacheTTL:         r.duration("DRAFT_CACHE_TTL", "30s"),
	}
	r.text("WECHAT_API_BASE_URL", "https://api.weixin.qq.com", s.setBaseURLs)
	r.text("OPENABLE_ACCOUNTS", "", s.Openable.set)
	r.text("HISTORY_RETENTION_DAYS", "365", s.setRetention)
	r.text("LOG_LEVEL", "info", func(v string) error {
		if !slices.Contains([]string{"debug", "info", "warn", "error"}, strings.ToLower(v)) {
			return errors.New("it must be debug, info, warn or error")
		}
		return s.LogLevel.UnmarshalText([]byte(v))
	})
	s.EgressIP = r.text("EGRESS_IP", "", func(v string) error {
		if _, err := netip.ParseAddr(v); err != nil {
			return errors.New("it must be an IP address")
		}
		return nil
	})
	if len(r.faults) > 0 {
		return Settings{}, errors.New(strings.Join(r.faults, "; "))
	}
	return s, nil
}

// reader reads variables and collects their errors.
type reader struct {
	getenv func(string) string
	faults []string
}

// text is a variable's value or its default, checked by check unless empty.
func (r *reader) text(name, byDefault string, check func(string) error) string {
	v := cmp.Or(strings.TrimSpace(r.getenv(name)), byDefault)
	if v == "" {
		return ""
	}
	if err := check(v); err != nil {
		r.faults = append(r.faults, fmt.Sprintf("%s can't be used: %v", name, err))
	}
	return v
}

// oneOf is one of two values, by default the first.
func (r *reader) oneOf(name, byDefault, other string) string {
	return r.text(name, byDefault, func(v string) error {
		if v != byDefault && v != other {
			return fmt.Errorf("it must be %s or %s", byDefault, other)
		}
		return nil
	})
}

func (r *reader) duration(name, byDefault string) (d time.Duration) {
	r.text(name, byDefault, func(v string) (err error) {
		if d, err = time.ParseDuration(v); err != nil || d < 0 {
			return errors.New("it must be a duration like 30s or 5m, 0s or more")
		}
		return nil
	})
	return d
}

func (s *Settings) setBaseURLs(list string) error {
	for one := range strings.SplitSeq(list, ",") {
		base := strings.TrimRight(strings.TrimSpace(one), "/")
		if err := isBaseURL(base); err != nil {
			return err
		}
		s.WeChatBaseURLs = append(s.WeChatBaseURLs, base)
	}
	return nil
}

func (s *Settings) setRetention(v string) error {
	days, err := strconv.Atoi(v)
	if err != nil || days < 0 || days > maxRetentionDays {
		return fmt.Errorf("it must be a whole number of days from 0 to %d", maxRetentionDays)
	}
	s.HistoryRetention = time.Duration(days) * 24 * time.Hour
	return nil
}

func matches(pattern *regexp.Regexp, longest int, otherwise string) func(string) error {
	return func(v string) error {
		if len(v) > longest || !pattern.MatchString(v) {
			return errors.New(otherwise)
		}
		return nil
	}
}

func isBaseURL(v string) error {
	u, err := url.Parse(v) // its error quotes v, which may hold a password
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("it must be a URL like https://example.com, without user, query or fragment")
	}
	return nil
}
