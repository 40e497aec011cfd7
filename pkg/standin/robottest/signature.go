package robottest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"time"
)

// maxSkew is the maximum distance between a signature's time and now.
const maxSkew = time.Hour

func (s *Server) signedForDingTalk(to Robot, query url.Values) bool {
	milliseconds, err := strconv.ParseInt(query.Get("timestamp"), 10, 64)
	return err == nil && s.isNow(time.UnixMilli(milliseconds)) &&
		isHMAC(query.Get("sign"), to.Secret, query.Get("timestamp")+"\n"+to.Secret)
}

func (s *Server) signedForFeishu(to Robot, body sent) bool {
	seconds, err := strconv.ParseInt(body.Timestamp, 10, 64)
	return err == nil && s.isNow(time.Unix(seconds, 0)) && isHMAC(body.Sign, body.Timestamp+"\n"+to.Secret, "")
}

func (s *Server) isNow(at time.Time) bool { return s.now().Sub(at).Abs() < maxSkew }

func isHMAC(sign, key, message string) bool {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	sum, err := base64.StdEncoding.DecodeString(sign)
	return err == nil && hmac.Equal(sum, mac.Sum(nil))
}
