package wechat

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkDraftList reads and writes a list of 1,000 drafts.
func BenchmarkDraftList(b *testing.B) {
	var entries []string
	for i := range 1000 {
		entries = append(entries, fmt.Sprintf(`{"create_time":%d,"user_version":"3.0.%d","user_desc":"项目演示\n\n开发者甲 提交上传","draft_id":%d,`+
			`"source_miniprogram_appid":"wx%016d","source_miniprogram":"微用户","developer":"开发者甲_A","category_list":[]}`, 1666920047+i, i, i, i))
	}
	body := []byte(`{"errcode":0,"errmsg":"ok","draft_list":[` + strings.Join(entries, ",") + `]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		answer, err := decode(body)
		if err != nil {
			b.Fatal(err)
		}
		list, err := readList(answer, listOf[Draft]{"", "draft_list", "draft_id", newDraft})
		if err != nil || len(list.entries) != 1000 {
			b.Fatal(err, len(list.entries))
		}
		out := make([]byte, 0, len(body))
		for _, d := range list.entries {
			out = d.AppendJSON(out)
		}
	}
}
