package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/retry"
	"wechat-draftbox/pkg/wechat"
)

const (
	boxPK   = "box"
	watchSK = "watch"
	draftPK = "draft"
)

// maxDraft bounds a stored draft's JSON in bytes. DynamoDB's limit for an item is 400 KB.
const maxDraft = 380 << 10

// DraftKey identifies a draft. The id alone wouldn't if WeChat ever reused one.
type DraftKey struct {
	CreateTime int64 `json:"create_time"`
	DraftID    int64 `json:"draft_id"`
}

// KeyOf is the draft's key.
func KeyOf(d wechat.Draft) DraftKey { return DraftKey{d.CreateTime, d.DraftID} }

// sortKey puts drafts in the order of the API: by create_time, then draft_id.
func (k DraftKey) sortKey() string {
	return fmt.Sprintf("%020d#%020d", max(k.CreateTime, 0), k.DraftID)
}

func readDraftKey(sortKey string) (DraftKey, bool) {
	created, id, ok := strings.Cut(sortKey, "#")
	createTime, err1 := strconv.ParseInt(created, 10, 64)
	draftID, err2 := strconv.ParseInt(id, 10, 64)
	return DraftKey{createTime, draftID}, ok && err1 == nil && err2 == nil
}

// Drafts are the drafts that the bundle has seen, those in the box and those removed.
type Drafts struct {
	table     Table
	retention time.Duration
}

// Drafts gives access to the table's drafts. A removed draft is stored for retention, or forever if that is 0.
func (t Table) Drafts(retention time.Duration) Drafts { return Drafts{t, retention} }

// Box is the recorded state of the draft box.
type Box struct {
	Watched     bool // whether a watch has recorded the baseline
	ListMissing bool // the last answer had no draft_list, and was ignored
	Drafts      map[DraftKey]BoxEntry
}

// BoxEntry is a draft in the box.
type BoxEntry struct {
	SourceAppID string // the development mini program; empty if WeChat didn't name it
	Unannounced bool   // a promotion saw it before any watch, so its event is still to be published
}

// Box reads the recorded state of the draft box.
func (d Drafts) Box(ctx context.Context) (Box, error) {
	box := Box{Drafts: make(map[DraftKey]BoxEntry)}
	for after := ""; ; {
		items, next, err := d.table.page(ctx, query{pk: boxPK, after: after})
		if err != nil {
			return Box{}, fmt.Errorf("read the known drafts: %w", err)
		}
		for _, i := range items {
			if sk := textOf(i, "sk"); sk == watchSK {
				box.Watched = textOf(i, "baseline_at") != ""
				box.ListMissing = isTrue(i, "list_missing")
			} else if key, ok := readDraftKey(sk); ok {
				box.Drafts[key] = BoxEntry{textOf(i, "source_miniprogram_appid"), isTrue(i, "unannounced")}
			}
		}
		if after = next; after == "" {
			return box, nil
		}
	}
}

func boolean(b bool) types.AttributeValue { return &types.AttributeValueMemberBOOL{Value: b} }

func isTrue(i item, name string) bool {
	b, _ := i[name].(*types.AttributeValueMemberBOOL)
	return b != nil && b.Value
}

// Get reads whole drafts. Unknown and unreadable ones are missing in the result.
func (d Drafts) Get(ctx context.Context, keys []DraftKey) (map[DraftKey]wechat.Draft, error) {
	var sks []string
	for _, k := range keys {
		sks = append(sks, k.sortKey())
	}
	items, err := d.table.batchGet(ctx, draftPK, sks)
	if err != nil {
		return nil, fmt.Errorf("read drafts: %w", err)
	}
	drafts := make(map[DraftKey]wechat.Draft, len(items))
	for _, i := range items {
		if r, ok := readDraftRecord(i); ok {
			drafts[KeyOf(r.Draft)] = r.Draft
		}
	}
	return drafts, nil
}

// Add records a draft that a watch found in the box. If watched is false, because no watch has recorded the baseline yet, the
// write is conditional on that: otherwise a draft that only this watch saw would never be published. If the condition fails,
// the error is of kind [awserror.Conflict].
func (d Drafts) Add(ctx context.Context, draft wechat.Draft, watched bool) error {
	record, err := d.record(draft)
	if err != nil {
		return err
	}
	entry := types.Update{
		TableName: &d.table.name, Key: key(boxPK, KeyOf(draft).sortKey()),
		UpdateExpression:          aws.String("SET source_miniprogram_appid = :source, unannounced = :false"),
		ExpressionAttributeValues: item{":source": text(draft.SourceMiniprogramAppID), ":false": boolean(false)},
	}
	return d.transactWatched(ctx, KeyOf(draft), watched, []types.TransactWriteItem{{Update: &entry}, {Update: record}})
}

// record is the write of a whole draft that is in the box.
func (d Drafts) record(draft wechat.Draft) (*types.Update, error) {
	encoded, err := TruncateDraft(draft, maxDraft)
	if err != nil {
		return nil, err
	}
	return &types.Update{
		TableName: &d.table.name, Key: key(draftPK, KeyOf(draft).sortKey()),
		UpdateExpression: aws.String("SET draft = :draft, seen_at = if_not_exists(seen_at, :now) REMOVE gone_at, replaced_by, expires"),
		ExpressionAttributeValues: item{
			":draft": text(string(encoded)), ":now": rfc3339(d.table.now()),
		},
	}, nil
}

// transactWatched writes what a watch found about a draft; see [Drafts.Add] for watched.
func (d Drafts) transactWatched(ctx context.Context, key DraftKey, watched bool, writes []types.TransactWriteItem) error {
	if !watched {
		writes = append(writes, types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: &d.table.name, Key: item{"pk": text(boxPK), "sk": text(watchSK)},
			ConditionExpression: aws.String("attribute_not_exists(baseline_at)"),
		}})
	}
	return d.transact(ctx, draftPK+"/"+key.sortKey(), writes)
}

// Reasons why a transaction is canceled.
const (
	conditionFailed     = "ConditionalCheckFailed"
	transactionConflict = "TransactionConflict"
)

const (
	// transactAttempts is how often a transaction that was throttled or in conflict is tried. The SDK doesn't retry these.
	transactAttempts   = 6
	transactBackoff    = 50 * time.Millisecond
	transactMaxBackoff = 500 * time.Millisecond
)

// transact writes all or nothing. The error is of kind [awserror.Conflict] if a condition fails, or another transaction is
// writing the same items.
func (d Drafts) transact(ctx context.Context, resource string, writes []types.TransactWriteItem) error {
	for attempt := 1; ; attempt++ {
		err := d.tryTransact(ctx, resource, writes)
		var failed *awserror.Error
		retryable := errors.As(err, &failed) && (failed.Kind == awserror.Conflict && failed.Code != conditionFailed ||
			failed.Code == "ThrottlingError" || failed.Code == "ProvisionedThroughputExceeded")
		if !retryable || attempt == transactAttempts ||
			!retry.Sleep(ctx, retry.Jitter(min(transactBackoff<<attempt, transactMaxBackoff))) {
			return err
		}
	}
}

func (d Drafts) tryTransact(ctx context.Context, resource string, writes []types.TransactWriteItem) error {
	_, err := d.table.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	var canceled *types.TransactionCanceledException
	if !errors.As(err, &canceled) {
		return wrap("dynamodb:TransactWriteItems", d.table.name+"/"+resource, err)
	}
	failed := &awserror.Error{Operation: "dynamodb:TransactWriteItems", Resource: d.table.name + "/" + resource, Kind: awserror.Denied}
	for _, reason := range canceled.CancellationReasons {
		switch code := aws.ToString(reason.Code); code {
		case "None":
		case conditionFailed, transactionConflict:
			failed.Code, failed.Kind = code, awserror.Conflict
		case "ThrottlingError", "ProvisionedThroughputExceeded":
			failed.Code, failed.Kind = code, awserror.Unavailable
		default:
			failed.Code = code
		}
	}
	return failed
}

// MarkGone records that a draft left the box. replacedBy is the newer draft of the same mini program that replaced it, or
// nil. Values that another watch recorded before stay. watched is as in [Drafts.Add].
func (d Drafts) MarkGone(ctx context.Context, gone DraftKey, replacedBy *DraftKey, watched bool) error {
	now := d.table.now()
	set, values := "gone_at = if_not_exists(gone_at, :now)", item{":now": rfc3339(now)}
	if replacedBy != nil {
		set += ", replaced_by = if_not_exists(replaced_by, :by)"
		values[":by"] = text(replacedBy.sortKey())
	}
	if d.retention > 0 {
		set += ", expires = if_not_exists(expires, :expires)"
		values[":expires"] = number(now.Add(d.retention).Unix())
	}
	return d.transactWatched(ctx, gone, watched, []types.TransactWriteItem{
		{Update: &types.Update{
			TableName: &d.table.name, Key: key(draftPK, gone.sortKey()), UpdateExpression: aws.String("SET " + set), ExpressionAttributeValues: values,
		}},
		{Delete: &types.Delete{TableName: &d.table.name, Key: key(boxPK, gone.sortKey())}},
	})
}

// FinishBaseline records that the first watch is complete. If a concurrent first watch already did, nothing is lost.
func (d Drafts) FinishBaseline(ctx context.Context) error {
	_, _, err := d.table.update(ctx, update{
		pk: boxPK, sk: watchSK, change: "SET baseline_at = :now REMOVE list_missing", condition: "attribute_not_exists(baseline_at)",
		values: item{":now": rfc3339(d.table.now())},
	})
	return err
}

// SetListMissing records whether the last answer had no draft_list and was ignored.
func (d Drafts) SetListMissing(ctx context.Context, missing bool) error {
	_, _, err := d.table.update(ctx, update{
		pk: boxPK, sk: watchSK, change: "SET list_missing = :missing", values: item{":missing": boolean(missing)},
	})
	return err
}

// AddTemplate records that a draft was promoted. A draft that no watch has seen yet is marked unannounced, so that the next
// watch publishes it.
func (d Drafts) AddTemplate(ctx context.Context, draft wechat.Draft, templateID int64) error {
	record, err := d.record(draft)
	if err != nil {
		return err
	}
	sortKey, id := KeyOf(draft).sortKey(), number(templateID)
	record.UpdateExpression = aws.String("SET draft = if_not_exists(draft, :draft), seen_at = if_not_exists(seen_at, :now), " +
		"template_ids = list_append(if_not_exists(template_ids, :none), :ids)")
	record.ConditionExpression = aws.String("attribute_not_exists(template_ids) OR NOT contains(template_ids, :id)")
	record.ExpressionAttributeValues[":none"] = &types.AttributeValueMemberL{}
	record.ExpressionAttributeValues[":ids"] = &types.AttributeValueMemberL{Value: []types.AttributeValue{id}}
	record.ExpressionAttributeValues[":id"] = id
	entry := types.Update{
		TableName: &d.table.name, Key: key(boxPK, sortKey),
		UpdateExpression: aws.String("SET source_miniprogram_appid = if_not_exists(source_miniprogram_appid, :source), " +
			"unannounced = if_not_exists(unannounced, :true)"),
		ExpressionAttributeValues: item{":source": text(draft.SourceMiniprogramAppID), ":true": boolean(true)},
	}
	err = d.transact(ctx, draftPK+"/"+sortKey, []types.TransactWriteItem{{Update: record}, {Update: &entry}})
	var failed *awserror.Error
	if errors.As(err, &failed) && failed.Code == conditionFailed {
		return nil // recorded before
	}
	return err
}

// DraftRecord is a draft in the history.
type DraftRecord struct {
	Draft       wechat.Draft
	SeenAt      time.Time
	GoneAt      time.Time // zero: in the box
	ReplacedBy  *DraftKey // nil: none or not known
	TemplateIDs []int64   // the promotions made through the bundle, ascending
}

func readDraftRecord(i item) (DraftRecord, bool) {
	r := DraftRecord{SeenAt: timeOf(i, "seen_at"), GoneAt: timeOf(i, "gone_at"), TemplateIDs: []int64{}}
	if json.Unmarshal([]byte(textOf(i, "draft")), &r.Draft) != nil {
		return r, false
	}
	if k, ok := readDraftKey(textOf(i, "replaced_by")); ok {
		r.ReplacedBy = &k
	}
	if ids, ok := i["template_ids"].(*types.AttributeValueMemberL); ok {
		for _, value := range ids.Value {
			if id, ok := value.(*types.AttributeValueMemberN); ok {
				n, _ := strconv.ParseInt(id.Value, 10, 64)
				r.TemplateIDs = append(r.TemplateIDs, n)
			}
		}
		slices.Sort(r.TemplateIDs)
	}
	return r, true
}

// HistoryQuery selects drafts from the history.
type HistoryQuery struct {
	Since, Until int64                   // of create_time, in Unix seconds, inclusive
	Match        func(wechat.Draft) bool // nil: all
	Limit        int
	After        string // the position of the previous page's last draft; empty: the newest
}

// maxHistoryReads is how many pages of 1 MB one call reads to find matching drafts.
const maxHistoryReads = 5

// History reads all drafts ever seen, newest first. next is the position after which the next page begins, empty at the end.
// A page may be short and still have a next one, if few drafts match or they are large.
func (d Drafts) History(ctx context.Context, q HistoryQuery) (page []DraftRecord, next string, err error) {
	read := query{pk: draftPK, after: q.After, descending: true}
	read.from, read.to = DraftKey{q.Since, 0}.sortKey(), DraftKey{q.Until, math.MaxInt64}.sortKey()
	if q.Until < max(q.Since, 0) || q.After != "" && q.After <= read.from {
		return nil, "", nil
	}
	if q.After > read.to { // DynamoDB refuses a start outside of the range
		read.after = ""
	}
	for range maxHistoryReads {
		if q.Match == nil {
			read.limit = q.Limit - len(page)
		}
		items, after, err := d.table.page(ctx, read)
		if err != nil {
			return nil, "", fmt.Errorf("read the history: %w", err)
		}
		for _, i := range items {
			r, ok := d.visible(i)
			if !ok || q.Match != nil && !q.Match(r.Draft) {
				continue
			}
			page = append(page, r)
			if sk := textOf(i, "sk"); len(page) == q.Limit && sk != textOf(items[len(items)-1], "sk") {
				return page, sk, nil
			}
		}
		if read.after = after; after == "" || len(page) == q.Limit {
			break
		}
	}
	return page, read.after, nil
}

// visible reads a record unless it is unreadable or has expired: DynamoDB takes days to delete expired items.
func (d Drafts) visible(i item) (DraftRecord, bool) {
	if expires := numberOf(i, "expires"); expires != 0 && expires <= d.table.now().Unix() {
		return DraftRecord{}, false
	}
	return readDraftRecord(i)
}

// IsDraftPosition reports whether text can be a [HistoryQuery]'s After.
func IsDraftPosition(text string) bool {
	k, ok := readDraftKey(text)
	return ok && k.sortKey() == text
}
