package wechat

import "slices"

// IsReleaseCheck reports whether an account is one of WeChat's test accounts, which authorise and unauthorise a platform
// before it is published (全网发布).
func IsReleaseCheck(appID string) bool { return slices.Contains(releaseCheckAccounts, appID) }

var releaseCheckAccounts = []string{
	"wx570bc396a51b8ff8", "wx9252c5e0bb1836fc", "wx8e1097c5bc82cde9", "wx14550af28c71a144", "wxa35b9c23cfe664eb", // Official Accounts
	"wxd101a85aa106f53e", "wxc39235c15087f6f3", "wx7720d01d4b2a4500", "wx05d483572dcd5d8b", "wx5910277cae6fd970", // mini programs
}
