package robot

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/cache"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
)

// SecretName is the name of the secret that lists the robots, below the prefix.
const SecretName = "notify"

// PushReceived is the detail-type of WeChat's pushes as the bundle passes them on.
const PushReceived = "Push Received"

// Events are the detail-types that a robot can subscribe to.
func Events() []string {
	return append(eventsByDefault(), eventbus.TokenRejected, PushReceived)
}

// eventsByDefault are the events of a robot that lists none. Rejected tokens are replaced automatically, and pushes can
// contain people's names.
func eventsByDefault() []string {
	return []string{eventbus.DraftUploaded, eventbus.DraftRemoved, eventbus.DraftSwitchChanged,
		eventbus.AccountAuthorized, eventbus.AccountUnauthorized, eventbus.TokenRefreshFailed}
}

// NewCache makes a cache that loads the robots on demand. Without the secret there are none. Errors are of package
// awserror; none quotes a value.
func NewCache(secrets token.SecretsStore, ttl time.Duration, now func() time.Time) *cache.Value[[]Robot] {
	return cache.New(ttl, now, func(ctx context.Context) ([]Robot, error) {
		text, _, err := secrets.Text(ctx, SecretName)
		if awserror.Is(err, awserror.NotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the robots: %w", err)
		}
		return Parse(secrets.Name(SecretName), text)
	})
}

// robotJSON is a robot as stored in the secret.
type robotJSON struct {
	Name     string    `json:"name"`
	Kind     Kind      `json:"kind"`
	URL      string    `json:"url"`
	Secret   string    `json:"secret"`
	Events   *[]string `json:"events"` // nil: not given
	Language Language  `json:"language"`
	Prefix   string    `json:"prefix"`
}

// Parse parses the text of the secret of that name. Errors are an [*awserror.MalformedError].
func Parse(name string, text secret.Value) ([]Robot, error) {
	malformed := func(format string, args ...any) error {
		return &awserror.MalformedError{Resource: name, Detail: fmt.Sprintf(format, args...)}
	}
	var content *struct {
		Robots []json.RawMessage `json:"robots"`
	}
	if json.Unmarshal([]byte(text.Reveal()), &content) != nil || content == nil { // its error quotes the text
		return nil, malformed(`it is no JSON object whose "robots" is a list`)
	}
	var robots []Robot
	names := make(map[string]bool)
	for i, raw := range content.Robots {
		r, fault := readRobot(raw)
		if fault == "" && names[r.Name] {
			fault = "has the name of another one"
		}
		if fault != "" {
			return nil, malformed("robots[%d] %s", i, fault)
		}
		names[r.Name] = true
		robots = append(robots, r)
	}
	return robots, nil
}

const (
	maxName   = 64  // characters; names are attributes in the state table
	maxPrefix = 200 // characters; more would leave no room for the message
)

// readRobot reads one robot, and says what is wrong with it.
func readRobot(raw json.RawMessage) (r Robot, fault string) {
	var w *robotJSON
	if json.Unmarshal(raw, &w) != nil || w == nil {
		return Robot{}, "is no JSON object, or a value in it is of the wrong type"
	}
	w.Name, w.URL = strings.TrimSpace(w.Name), strings.TrimSpace(w.URL)
	events := eventsByDefault()
	if w.Events != nil {
		events = *w.Events
	}
	unknown := slices.IndexFunc(events, func(event string) bool { return !slices.Contains(Events(), event) })
	switch {
	case w.Name == "":
		return r, "has no name"
	case utf8.RuneCountInString(w.Name) > maxName || strings.Contains(w.Name, "://"):
		return r, fmt.Sprintf("has a name that is none: it may have %d characters, and be no URL", maxName)
	case !slices.Contains([]Kind{WeCom, DingTalk, Feishu, Slack}, w.Kind):
		return r, "has a kind other than wecom, dingtalk, feishu and slack"
	case !isURL(w.URL):
		return r, "has no url that begins with https:// and names a host"
	case unknown >= 0:
		return r, fmt.Sprintf("has events[%d], which is no event of the bundle", unknown)
	case !slices.Contains([]Language{"", English, Chinese}, w.Language):
		return r, "has a language other than en and zh"
	case utf8.RuneCountInString(w.Prefix) > maxPrefix:
		return r, fmt.Sprintf("has a prefix of more than %d characters", maxPrefix)
	}
	if w.Language == "" {
		w.Language = Chinese
	}
	return Robot{Name: w.Name, Kind: w.Kind, URL: secret.New(w.URL), Secret: secret.New(strings.TrimSpace(w.Secret)),
		Events: events, Language: w.Language, Prefix: strings.TrimSpace(w.Prefix)}, ""
}

// isURL reports whether a text can be a robot's URL. Plain HTTP would expose it on the network, so it is allowed only for
// this machine and private networks, where stand-ins run.
func isURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	if u.Scheme == "https" {
		return true
	}
	address, err := netip.ParseAddr(u.Hostname())
	isNear := u.Hostname() == "localhost" || u.Hostname() == "host.docker.internal" || err == nil && (address.IsLoopback() || address.IsPrivate())
	return u.Scheme == "http" && isNear
}
