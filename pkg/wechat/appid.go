package wechat

import "regexp"

var appID = regexp.MustCompile(`^wx[0-9A-Za-z]{16}$`)

// IsAppID reports whether text is the id of an account: wx and 16 letters or digits.
func IsAppID(text string) bool { return appID.MatchString(text) }
