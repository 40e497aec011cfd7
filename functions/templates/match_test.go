package main

import (
	"testing"

	"wechat-draftbox/pkg/wechat"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	draft := wechat.Draft{DraftID: 4, Upload: wechat.Upload{
		CreateTime: 1000, UserVersion: "1.2.0", UserDesc: "commit 0f3a", SourceMiniprogramAppID: "wx0000000000000077"}}
	id := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		change func(*wechat.Template, *wechat.Draft)
		want   matchConfidence
	}{
		"dated as the upload":            {func(*wechat.Template, *wechat.Draft) {}, certain},
		"dated as an adding later":       {func(t *wechat.Template, _ *wechat.Draft) { t.CreateTime = 1060 }, certain},
		"older":                          {func(t *wechat.Template, _ *wechat.Draft) { t.CreateTime = 999 }, different},
		"older, with the draft's id":     {func(t *wechat.Template, _ *wechat.Draft) { t.CreateTime, t.DraftID = 999, id(4) }, different},
		"with the draft's id":            {func(t *wechat.Template, _ *wechat.Draft) { t.DraftID = id(4) }, certain},
		"with another draft's id":        {func(t *wechat.Template, _ *wechat.Draft) { t.DraftID = id(5) }, different},
		"with draft id 0":                {func(t *wechat.Template, _ *wechat.Draft) { t.DraftID = id(0) }, different},
		"another mini program":           {func(t *wechat.Template, _ *wechat.Draft) { t.SourceMiniprogramAppID = "wx0000000000000078" }, different},
		"another version":                {func(t *wechat.Template, _ *wechat.Draft) { t.UserVersion = "1.2" }, different},
		"another description":            {func(t *wechat.Template, _ *wechat.Draft) { t.UserDesc = "" }, different},
		"another type":                   {func(t *wechat.Template, _ *wechat.Draft) { t.TemplateType = 1 }, certain},
		"a draft without a mini program": {func(_ *wechat.Template, d *wechat.Draft) { d.SourceMiniprogramAppID = "" }, possible},
		"neither with a mini program": {func(t *wechat.Template, d *wechat.Draft) {
			t.SourceMiniprogramAppID, d.SourceMiniprogramAppID = "", ""
		}, possible},
		"neither with a mini program, but with the draft's id": {func(t *wechat.Template, d *wechat.Draft) {
			t.SourceMiniprogramAppID, d.SourceMiniprogramAppID, t.DraftID = "", "", id(4)
		}, certain},
		"a template without a time": {func(t *wechat.Template, _ *wechat.Draft) { t.CreateTime = 0 }, possible},
		"a draft without a time":    {func(_ *wechat.Template, d *wechat.Draft) { d.CreateTime = 0 }, possible},
	} {
		template, d := wechat.Template{TemplateID: 9, Upload: draft.Upload}, draft
		c.change(&template, &d)
		if got := compare(template, d); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestAdded(t *testing.T) {
	t.Parallel()
	draft := wechat.Draft{Upload: wechat.Upload{CreateTime: 1000, UserVersion: "1", SourceMiniprogramAppID: "wx0000000000000077"}}
	sure := func(id int64) wechat.Template { return wechat.Template{TemplateID: id, Upload: draft.Upload} }
	unsure := func(id int64) wechat.Template {
		template := sure(id)
		template.SourceMiniprogramAppID = ""
		return template
	}
	other := func(id int64) wechat.Template {
		template := sure(id)
		template.UserVersion = "2"
		return template
	}
	for name, c := range map[string]struct {
		before, after []wechat.Template
		want          int64 // -1: none
	}{
		"none":                            {nil, nil, -1},
		"what was there":                  {[]wechat.Template{sure(1)}, []wechat.Template{sure(1)}, -1},
		"beside what was there":           {[]wechat.Template{sure(1)}, []wechat.Template{sure(1), sure(3)}, 3},
		"two: the lower, in any order":    {nil, []wechat.Template{sure(3), sure(0)}, 0},
		"beside another's":                {nil, []wechat.Template{other(0), sure(1)}, 1},
		"another's only":                  {nil, []wechat.Template{other(0)}, -1},
		"one that may be":                 {nil, []wechat.Template{unsure(2)}, 2},
		"two that may be: can't be told":  {nil, []wechat.Template{unsure(2), unsure(3)}, -1},
		"a sure one before one may be":    {nil, []wechat.Template{unsure(2), sure(3)}, 3},
		"the library lost one meanwhile":  {[]wechat.Template{sure(1), other(2)}, []wechat.Template{other(2), sure(4)}, 4},
		"one may be, but was there":       {[]wechat.Template{unsure(2)}, []wechat.Template{unsure(2)}, -1},
		"one may be beside one of before": {[]wechat.Template{unsure(2)}, []wechat.Template{unsure(2), unsure(5)}, 5},
	} {
		got := int64(-1)
		if template, ok := added(draft, c.before, c.after); ok {
			got = template.TemplateID
		}
		if got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
