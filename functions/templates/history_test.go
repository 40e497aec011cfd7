package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
	"wechat-draftbox/pkg/trigger"
)

const (
	draft4   = "00000000001504790906#00000000000000000004"
	noteCall = "dynamodb:TransactWriteItems"
)

// noted returns the templates that the history has for draft 4.
func noted(w *functiontest.World) []any {
	item, _ := w.AWS.Item(functiontest.StateTable, "draft", draft4)
	ids, _ := item["template_ids"].([]any)
	return ids
}

func TestPromotionsAreNoted(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	stock(world.WeChat)
	wantTemplate(t, function.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 201)
	want := map[string]any{"pk": "box", "sk": draft4, "source_miniprogram_appid": miniProgram, "unannounced": true}
	if entry, _ := world.AWS.Item(functiontest.StateTable, "box", draft4); !cmp.Equal(want, entry) {
		t.Errorf("in the box: %v", entry) // so that the next watch publishes it
	}
	record, _ := world.AWS.Item(functiontest.StateTable, "draft", draft4)
	if text, _ := record["draft"].(string); !strings.Contains(text, `"user_desc":"111111"`) || record["seen_at"] == nil {
		t.Errorf("record %v", record)
	}

	wantTemplate(t, function.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 200) // no promotion
	wantProblem(t, function.HTTP(t.Context(), "POST", "/drafts/9/template", ""), 404, "not-found")
	if world.AWS.Calls("dynamodb:*") != 1 {
		t.Errorf("%d calls of DynamoDB", world.AWS.Calls("dynamodb:*"))
	}
	function.HTTP(t.Context(), "DELETE", "/templates/4", "")
	world.AWS.Fail(noteCall, awstest.DropAfter()) // the SDK repeats it
	wantTemplate(t, function.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 201)
	if diff := cmp.Diff([]any{json.Number("4"), json.Number("5")}, noted(world)); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}
	if lines := world.Log.Lines("could not note"); len(lines) > 0 {
		t.Errorf("log: %q", lines)
	}
}

// An addition whose response was lost is recorded once it shows.
func TestLostAdditionIsNoted(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	world.WeChat.Fail(wechattest.PathAddToTemplate, wechattest.Drop().After())
	wantTemplate(t, function.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 201)
	if diff := cmp.Diff([]any{json.Number("0")}, noted(world)); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}
}

// A promotion that can't be recorded is logged and still succeeds.
func TestPromotionsThatCannotBeNoted(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]awstest.Fault{
		"throttled": awstest.Throttle(), "denied": awstest.Deny(), "failing": awstest.Refuse("InternalServerError", 500), "dropped": awstest.Drop(),
		"no table": awstest.Refuse("ResourceNotFoundException", 400), "in conflict": awstest.Refuse("TransactionConflictException", 400),
		"hanging": awstest.Hang(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			world.StoreComponentToken()
			world.AWS.Fail(noteCall, fault.Sticky())
			function := world.Start(func(parts bootstrap.Deps) trigger.Router {
				timing := quickly
				timing.historyTimeout = 100 * time.Millisecond
				return newHandler(parts, timing).router()
			})
			made := wantTemplate(t, function.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 201)
			if given := only(t, world.WeChat, "11"); made.ID != given.TemplateID || noted(world) != nil {
				t.Errorf("template %+v, noted %v", made, noted(world))
			}
			if lines := world.Log.Lines(`"could not note a promotion in the history","draft_id":4,"template_id":0,"error":"dynamodb:TransactWriteItems`); len(lines) != 1 {
				t.Errorf("log: %q", lines)
			}
		})
	}
}
