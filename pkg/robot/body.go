package robot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"wechat-draftbox/pkg/wechat"
)

type (
	markdown struct {
		Title   string `json:"title,omitempty"`   // DingTalk
		Text    string `json:"text,omitempty"`    // DingTalk
		Content string `json:"content,omitempty"` // WeCom
	}
	markdownBody struct {
		Type     string   `json:"msgtype"`
		Markdown markdown `json:"markdown"`
	}
	feishuBody struct {
		Timestamp string     `json:"timestamp,omitempty"`
		Sign      string     `json:"sign,omitempty"`
		Type      string     `json:"msg_type"`
		Content   feishuText `json:"content"`
	}
	feishuText struct {
		Text string `json:"text"`
	}
	slackBody struct {
		Text string `json:"text"`
		// Neither a bare URL nor a name becomes a link.
		Parse       string `json:"parse"`
		UnfurlLinks bool   `json:"unfurl_links"`
		UnfurlMedia bool   `json:"unfurl_media"`
	}
)

// signature authenticates a message with the robot's secret. The zero value means unsigned.
type signature struct{ timestamp, sign string }

// The longest parts of a signature, to compute the size of a message.
const (
	longestTimestamp = "1700000000000"
	longestSign      = "00000000000000000000000000000000000000000000"
)

// sign signs for the robot. The same text is the HMAC's message for DingTalk and its key for Feishu.
func sign(r Robot, now time.Time) signature {
	if r.Secret.IsZero() {
		return signature{}
	}
	var timestamp string
	var sum []byte
	switch r.Kind {
	case DingTalk:
		timestamp = strconv.FormatInt(now.UnixMilli(), 10)
		sum = hmacSHA256(r.Secret.Reveal(), timestamp+"\n"+r.Secret.Reveal())
	case Feishu:
		timestamp = strconv.FormatInt(now.Unix(), 10)
		sum = hmacSHA256(timestamp+"\n"+r.Secret.Reveal(), "")
	default:
		return signature{}
	}
	return signature{timestamp, base64.StdEncoding.EncodeToString(sum)}
}

func hmacSHA256(key, message string) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	return mac.Sum(nil)
}

// address is the URL that a message is posted to, with DingTalk's signature.
func address(r Robot, s signature) (string, error) {
	if r.Kind != DingTalk || s.sign == "" {
		return r.URL.Reveal(), nil
	}
	u, err := url.Parse(r.URL.Reveal())
	if err != nil {
		return "", errBadURL // err quotes the URL
	}
	query := u.Query()
	query.Set("timestamp", s.timestamp)
	query.Set("sign", s.sign)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// encode makes the body of the request that sends a message.
func encode(r Robot, m Message, s signature) ([]byte, error) {
	switch r.Kind {
	case WeCom:
		return wechat.EncodeJSON(markdownBody{"markdown", markdown{Content: m.Text}})
	case DingTalk:
		return wechat.EncodeJSON(markdownBody{"markdown", markdown{Title: m.Title, Text: m.Text}})
	case Feishu:
		return wechat.EncodeJSON(feishuBody{s.timestamp, s.sign, "text", feishuText{m.Text}})
	case Slack:
		return wechat.EncodeJSON(slackBody{Text: m.Text, Parse: "none"})
	}
	return nil, fmt.Errorf("there are no robots of the kind %q", r.Kind)
}
