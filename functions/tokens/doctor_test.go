package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// diagnose runs the doctor.
func (s *fixture) diagnose() diagnosis {
	s.t.Helper()
	got, err := s.tokens.Invoke(s.t.Context(), map[string]string{"task": "doctor"})
	if err != nil {
		s.t.Fatal(err)
	}
	var d diagnosis
	if err := json.Unmarshal(got, &d); err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (d diagnosis) check(t *testing.T, name string) check {
	t.Helper()
	for _, c := range d.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %q in %v", name, d.Checks)
	return check{}
}

func TestDoctorOfAHealthyBundle(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issueAll()
	writes := s.writes()
	d := s.diagnose()
	if !d.OK || d.Task != "doctor" || len(d.Checks) != 10 {
		t.Errorf("got %+v", d)
	}
	for _, c := range d.Checks {
		if !c.OK || c.Detail == "" || c.Action != "" {
			t.Errorf("got %+v", c)
		}
	}
	if quota := d.check(t, checkQuota).Detail; !strings.Contains(quota, "0 used") {
		t.Errorf("quota: %s", quota)
	}
	if accounts := d.check(t, checkAccounts).Detail; !strings.HasPrefix(accounts, "3 accounts have tokens: 3 in order") {
		t.Errorf("accounts: %s", accounts)
	}
	if s.writes() != writes || len(s.AWS.Events()) > 0 || s.WeChat.Calls(wechattest.PathQuota) != 1 || s.WeChat.Calls("") != 2 {
		t.Error("the doctor only reads, with two calls of WeChat")
	}
}

func TestDoctorNamesEachFaultAndWhoMendsIt(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name   string
		plant  func(*fixture)
		check  string
		detail string // a part of the check's detail
		who    string // a part of its action
	}{
		{"platform secret missing", func(s *fixture) {
			s.AWS.Fail("secretsmanager:GetSecretValue", awstest.Refuse("ResourceNotFoundException", 400).On("wechat/draftbox/platform").Sticky())
		}, checkPlatform, "ResourceNotFoundException", "operator: create wechat/draftbox/platform"},
		{"platform secret without app secret", func(s *fixture) { s.platform("component_appsecret", "") },
			checkPlatform, "no component_appsecret", "operator: correct what is stored in wechat/draftbox/platform"},
		{"AES key too short", func(s *fixture) { s.platform("encoding_aes_key", "short") },
			checkPlatform, "AES", "operator: copy the value anew"},
		{"secrets may not be read", func(s *fixture) {
			s.AWS.Fail("secretsmanager:GetSecretValue", awstest.Deny().On("wechat/draftbox/platform").Sticky())
		}, checkPlatform, "AccessDenied", "operator: let the function's role use"},
		{"no ticket", func(s *fixture) { s.removeTicket() }, checkTicket, "no component_verify_ticket", "platform's operator: check that the callback URL"},
		{"ticket late", func(s *fixture) { s.Clock.Forward(40 * time.Minute) }, checkTicket, "is 40m", "platform's operator: check that the callback URL"},
		{"ticket dead", func(s *fixture) { s.Clock.Forward(13 * time.Hour) }, checkTicket, "12 hours", "platform's operator: check that the callback URL"},
		{"component token malformed", func(s *fixture) { s.put(component, `{"access_token": `) }, checkComponent, "malformed", "operator: correct what is stored"},
		{"component token expired", func(s *fixture) { s.Clock.Forward(2 * time.Hour); s.ticket() }, checkComponent, "expired at", "operator: run the task refresh-tokens"},
		{"component token superseded", func(s *fixture) {
			s.WeChat.KickToken(component)
			s.Clock.Forward(6 * time.Minute)
		}, checkAccepted, "40001", "Who acts: the bundle"},
		{"not whitelisted", func(s *fixture) { s.WeChat.RefuseAddress("198.51.100.154") }, checkWhitelist, "198.51.100.154", "Who acts: the platform's operator"},
		{"quota used up", func(s *fixture) {
			s.WeChat.Fail(wechattest.PathQuota, wechattest.Raw(`{"errcode":0,"quota":{"daily_limit":1000,"used":1000,"remain":0}}`))
		}, checkQuota, "1000 of 1000", "Who acts: the platform's operator"},
		{"two addresses", func(s *fixture) {
			refuse := func(ip string) wechattest.Fault {
				return wechattest.Refuse(61004, "access clientip is not registered requestIP: "+ip+" rid: 1")
			}
			s.WeChat.Fail(wechattest.PathQuota, refuse("198.51.100.1"), refuse("198.51.100.2"))
		}, checkWhitelist, "198.51.100.1 and 198.51.100.2", "Who acts: the platform's operator"},
		{"an account written off", func(s *fixture) { s.recordAccount(closed, "status", "unauthorized") },
			checkWrittenOff, "1 accounts are recorded as unauthorized although WeChat lists them: " + closed, "operator: run the task import-accounts"},
		{"the list of authorizers refused", func(s *fixture) { s.WeChat.Fail(wechattest.PathAuthorizerList, wechattest.Refuse(45009)) },
			checkWrittenOff, "not known", "Who acts"},
		{"WeChat unreachable", func(s *fixture) { s.WeChat.Fail(wechattest.PathQuota, wechattest.Drop().Always()) },
			checkAccepted, "the connection broke", "operator: check the functions' way to the internet"},
		{"an account's token expired", func(s *fixture) { s.issue(closed, "expires_at", "2020-01-01T00:00:00Z") },
			checkAccounts, "1 with faults (" + closed + ": expired", "operator: run the task refresh-tokens"},
		{"an account's secret malformed", func(s *fixture) { s.put(closed, `{"`) }, checkAccounts, closed, "operator: correct"},
		{"state table missing", func(s *fixture) { s.Env["STATE_TABLE"] = "missing"; s.tokens = s.Start(wire) },
			checkStateTable, "missing", "operator"},
		{"state table missing, so the accounts' states are", func(s *fixture) { s.Env["STATE_TABLE"] = "missing"; s.tokens = s.Start(wire) },
			checkAccounts, "ResourceNotFoundException", ""},
		{"token table missing", func(s *fixture) { s.Env["TOKEN_TABLE"] = "missing"; s.tokens = s.Start(wire) },
			checkTokenTable, "missing", "operator"},
		{"tables may not be described", func(s *fixture) { s.AWS.Fail("dynamodb:DescribeTable", awstest.Deny().Sticky()) },
			checkTokenTable, "AccessDenied", "operator: let the function's role use"},
		{"nothing to renew an account with", func(s *fixture) { s.issue(closed, "refresh_token", "") },
			checkAccounts, "nothing is stored to renew it with", "operator: run the task import-accounts"},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, "secretsmanager")
			s.issueAll()
			fault.plant(s)
			d := s.diagnose()
			c := d.check(t, fault.check)
			if d.OK || c.OK || !strings.Contains(c.Detail, fault.detail) || !strings.Contains(c.Action, fault.who) {
				t.Errorf("ok %v, %+v", d.OK, c)
			}
			if len(s.AWS.Events()) > 0 {
				t.Error("the doctor publishes nothing")
			}
		})
	}
}

func TestDoctorNamesTenAccountsAtMost(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "dynamodb")
	s.issueAll()
	for i := range 15 {
		s.put(fmt.Sprintf("wx00000000000001%02d", i), `{"refresh_token": "r"}`)
	}
	c := s.diagnose().check(t, checkAccounts)
	if c.OK || strings.Count(c.Detail, "no access token was fetched yet") != 10 || !strings.HasPrefix(c.Detail, "18 accounts have tokens: 3 in order, 0 not authorized any more or ignored, 15 with faults") {
		t.Errorf("got %+v", c)
	}
}

// A quota of 0 of 0 says nothing.
func TestDoctorOfAQuotaOfZeros(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issueAll()
	s.WeChat.Fail(wechattest.PathQuota, wechattest.Raw(`{"errcode":0,"errmsg":"ok","quota":{"daily_limit":0,"used":0,"remain":0}}`))
	if d := s.diagnose(); !d.OK || d.check(t, checkQuota).Detail != "WeChat gives no number" {
		t.Errorf("got %+v", d)
	}
}

func TestDoctorWithATokenServerOfTheOperators(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.Env["MANAGE_TOKENS"], s.Env["EGRESS_IP"] = "false", "203.0.113.7"
	s.tokens = s.Start(wire)
	s.removeTicket()
	s.issue(component)
	s.issue(closed, "refresh_token", "")
	d := s.diagnose()
	if !d.OK || !strings.Contains(d.check(t, checkWhitelist).Detail, "203.0.113.7") {
		t.Errorf("got %+v", d)
	}
}
