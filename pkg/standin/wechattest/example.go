package wechattest

// The accounts of [WithExample].
const (
	ExampleClosed     = "wx0000000000000001" // authorised, permission set 11 granted, switch closed
	ExampleOpen       = "wx0000000000000002" // the same, switch open
	ExampleNotGranted = "wx0000000000000003" // authorised without permission set 11: 61007
	ExampleRevoked    = "wx0000000000000004" // its authorisation has ended: 61003
	ExampleOwn        = "wx0000000000000005" // the operator's own account, switch closed
)

// ExampleOwnSecret is the app secret of [ExampleOwn].
const ExampleOwnSecret = "5d41402abc4b2a76b9719d911017c592"

// ExamplePlatform returns the settings of a fictitious platform.
func ExamplePlatform() Platform {
	return Platform{
		AppID:          "wxc0ffee0000000001",
		AppSecret:      "9f86d081884c7d659a2feaa0c55ad015",
		MessageToken:   "Kx7vT2mQ9rLs",
		EncodingAESKey: "q1Os1ZMe0nG28KUEx9lg3HjK7V5QyXvi212fzsgDqgz",
	}
}

// WithExample starts with the two drafts of WeChat's own page (ids 0 and 4) and five accounts in different states, two
// of which have article drafts. There is no ticket or token yet.
func WithExample() Option { return func(s *Server) { s.example = true } }

func (s *Server) loadExample() {
	// On WeChat's page both drafts have the same mini program, which can't happen in a real box: the next upload from
	// it replaces both.
	const miniProgram, name, developer = "wx6XXXXXXXXXXXXXXX", "LXXXXX", "XXX"
	for _, d := range []Draft{
		{DraftID: 0, CreateTime: 1488965944, UserVersion: "VVV", UserDesc: "AAS"},
		{DraftID: 4, CreateTime: 1504790906, UserVersion: "11", UserDesc: "111111"},
	} {
		d.SourceMiniProgramAppID, d.SourceMiniProgram, d.Developer = miniProgram, name, developer
		s.addDraft(d)
	}
	for _, a := range []Account{
		{AppID: ExampleClosed, Name: "Lantern Street", RefreshToken: "refreshtoken@@@example-of-lantern-street-0001", Authorized: true, Granted: true},
		{AppID: ExampleOpen, Name: "Harbour Tea", RefreshToken: "refreshtoken@@@example-of-harbour-tea-0002", Authorized: true, Granted: true, Open: true},
		{AppID: ExampleNotGranted, Name: "Willow Books", RefreshToken: "refreshtoken@@@example-of-willow-books-0003", Authorized: true},
		{AppID: ExampleRevoked, Name: "Old Mill", Granted: true},
		{AppID: ExampleOwn, Name: "Our Own News", Secret: ExampleOwnSecret},
	} {
		s.addAccount(a)
	}
	s.addArticleDraft(s.accountByID[ExampleOpen], ArticleDraft{UpdateTime: 1767150000, Articles: []Article{
		{Title: "春茶上市", Author: "Harbour Tea", Digest: "明前龙井", URL: "http://mp.weixin.qq.com/s?__biz=example&mid=1", Content: "<p>春茶上市</p>"},
		{Title: "Opening hours", Content: "<p>9 to 5</p>"},
	}})
	s.addArticleDraft(s.accountByID[ExampleOpen], ArticleDraft{UpdateTime: 1767150060, Articles: []Article{{Content: "<p>untitled</p>"}}})
	s.addArticleDraft(s.accountByID[ExampleOwn], ArticleDraft{UpdateTime: 1767150120, Articles: []Article{{Title: "News", URL: "http://mp.weixin.qq.com/s?__biz=example&mid=2", Content: "<p>News</p>"}}})
}
