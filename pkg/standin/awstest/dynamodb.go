package awstest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/truora/minidyn/interpreter/language"
)

func (st *tables) operations() map[string]operation {
	return map[string]operation{
		"BatchGetItem":       onTables(st, st.batchGet),
		"DeleteItem":         onTables(st, withoutEntries(st.delete)),
		"DescribeTable":      onTables(st, withoutEntries(st.describe)),
		"GetItem":            onTables(st, withoutEntries(st.get)),
		"PutItem":            onTables(st, withoutEntries(st.put)),
		"Query":              onTables(st, withoutEntries(st.query)),
		"Scan":               onTables(st, withoutEntries(st.scan)),
		"TransactWriteItems": onTables(st, withoutEntries(st.transact)),
		"UpdateItem":         onTables(st, withoutEntries(st.update)),
	}
}

// tableInput is input whose resource depends on the table's key attributes.
type tableInput interface{ resourceIn(st *tables) string }

// onTables is on for DynamoDB's operations. It runs them under the lock; their results need none.
func onTables[In tableInput, Out any](st *tables, do func(In, entryFaults) (Out, error)) operation {
	return operation{read: func(body []byte) (string, func(context.Context, entryFaults) (any, error), error) {
		in, err := decode[In](body)
		if err != nil {
			return "", nil, err
		}
		st.mu.Lock()
		defer st.mu.Unlock()
		return in.resourceIn(st), func(_ context.Context, faults entryFaults) (any, error) {
			st.mu.Lock()
			defer st.mu.Unlock()
			return do(in, faults)
		}, nil
	}}
}

func withoutEntries[In, Out any](do func(In) (Out, error)) func(In, entryFaults) (Out, error) {
	return func(in In, _ entryFaults) (Out, error) { return do(in) }
}

// itemResource is "table/pk/sk", as far as the key is valid.
func (st *tables) itemResource(name string, it item) string {
	t := st.byName[name]
	if t == nil {
		return name
	}
	k, err := t.key(it, false)
	if err != nil {
		return name
	}
	return strings.TrimSuffix(name+"/"+k.hash+"/"+k.rng, "/")
}

type describeTable struct{ TableName string }

func (r describeTable) resourceIn(*tables) string { return r.TableName }

type keyElement struct{ AttributeName, KeyType string }

type attributeDefinition struct{ AttributeName, AttributeType string }

type tableDescription struct {
	TableName            string
	TableStatus          string
	TableArn             string
	TableId              string
	CreationDateTime     epoch
	ItemCount            int
	TableSizeBytes       int
	KeySchema            []keyElement
	AttributeDefinitions []attributeDefinition
	BillingModeSummary   struct{ BillingMode string }

	ProvisionedThroughput struct{ NumberOfDecreasesToday, ReadCapacityUnits, WriteCapacityUnits int }
	WarmThroughput        warmThroughput
}

// warmThroughput is an on-demand table's initial throughput.
type warmThroughput struct {
	ReadUnitsPerSecond  int
	WriteUnitsPerSecond int
	Status              string
}

type tableDescribed struct{ Table *tableDescription }

func (st *tables) describe(r describeTable) (*tableDescribed, error) {
	t, err := st.find(r.TableName)
	if err != nil {
		return nil, err
	}
	d := &tableDescription{
		TableName: t.name, TableStatus: "ACTIVE", TableId: t.id, CreationDateTime: epoch{t.created},
		TableArn:             "arn:aws:dynamodb:" + region + ":" + account + ":table/" + t.name,
		KeySchema:            []keyElement{{t.hash, "HASH"}},
		AttributeDefinitions: []attributeDefinition{{t.hash, "S"}},
	}
	if t.rng != "" {
		d.KeySchema = append(d.KeySchema, keyElement{t.rng, "RANGE"})
		d.AttributeDefinitions = append(d.AttributeDefinitions, attributeDefinition{t.rng, "S"})
	}
	d.BillingModeSummary.BillingMode = "PAY_PER_REQUEST"
	d.WarmThroughput = warmThroughput{tableReads, tableWrites, "ACTIVE"}
	for r := range t.scan(nil) {
		d.ItemCount++
		d.TableSizeBytes += r.size
	}
	return &tableDescribed{d}, nil
}

// Reading

// selection is the attributes that a read returns, and its consistency.
type selection struct {
	ConsistentRead           bool              `json:",omitempty"`
	ExpressionAttributeNames map[string]string `json:",omitempty"`
	ProjectionExpression     *string           `json:",omitempty"`
}

func (s selection) paths() ([]path, error) {
	c := placeholders{ExpressionAttributeNames: s.ExpressionAttributeNames}.compiler()
	paths, err := c.projection(s.ProjectionExpression)
	if err == nil {
		err = c.finished()
	}
	return paths, err
}

type getItem struct {
	selection
	TableName string
	Key       item
}

func (r getItem) resourceIn(st *tables) string { return st.itemResource(r.TableName, r.Key) }

type itemGot struct {
	Item item `json:",omitempty"`
}

func (st *tables) get(r getItem) (*itemGot, error) {
	t, err := st.find(r.TableName)
	if err != nil {
		return nil, err
	}
	paths, err := r.paths()
	if err != nil {
		return nil, err
	}
	k, err := t.key(r.Key, true)
	if err != nil {
		return nil, err
	}
	it, err := t.read(k, r.ConsistentRead)
	return &itemGot{it.project(paths)}, err
}

// read returns an item, or nil, and charges for it.
func (t *table) read(k tableKey, consistent bool) (item, error) {
	found := t.get(k)
	if found == nil {
		return nil, t.charge(k.hash, readCost(0, consistent), false)
	}
	return found.item, t.charge(k.hash, readCost(found.size, consistent), false)
}

type tableKeys struct {
	selection
	Keys []item
}

type batchGetItem struct{ RequestItems map[string]tableKeys }

func (r batchGetItem) resourceIn(*tables) string {
	return strings.Join(slices.Sorted(maps.Keys(r.RequestItems)), ",")
}

type itemBatch struct {
	Responses       map[string][]item
	UnprocessedKeys map[string]tableKeys
}

// A wanted item is requested by a batch.
type wanted struct {
	table *table
	key   tableKey
	from  tableKeys
	paths []path
}

// batchGet leaves out items beyond the capacity, and the entries with an injected fault, which are counted over the
// tables in order of name.
func (st *tables) batchGet(r batchGetItem, faults entryFaults) (*itemBatch, error) {
	batch := &itemBatch{make(map[string][]item), make(map[string]tableKeys)}
	all, err := st.wanted(r)
	if err != nil {
		return nil, err
	}
	var size, unprocessed int
	var over error
	for i, w := range all {
		name := w.table.name
		if batch.Responses[name] == nil {
			batch.Responses[name] = []item{}
		}
		it, err := w.table.read(w.key, w.from.ConsistentRead)
		size += it.size()
		if err != nil {
			over = err
		}
		switch {
		case faults.at(i) || err != nil || size > maxBatchSize:
			rest, seen := batch.UnprocessedKeys[name]
			if !seen {
				rest.selection = w.from.selection
			}
			rest.Keys = append(rest.Keys, w.table.keyItem(w.key))
			batch.UnprocessedKeys[name] = rest
			unprocessed++
		case it != nil:
			batch.Responses[name] = append(batch.Responses[name], it.project(w.paths))
		}
	}
	if unprocessed == len(all) && over != nil {
		return nil, over
	}
	return batch, nil
}

const maxBatchSize = 16 << 20

func (st *tables) wanted(r batchGetItem) (all []wanted, err error) {
	for _, name := range slices.Sorted(maps.Keys(r.RequestItems)) {
		t, err := st.find(name)
		if err != nil {
			return nil, err
		}
		from := r.RequestItems[name]
		paths, err := from.paths()
		if err != nil {
			return nil, err
		}
		seen := make(map[tableKey]bool)
		for _, it := range from.Keys {
			k, err := t.key(it, true)
			if err != nil {
				return nil, err
			}
			if seen[k] {
				return nil, invalid("Provided list of item keys contains duplicates")
			}
			seen[k] = true
			all = append(all, wanted{t, k, from, paths})
		}
	}
	if len(all) < 1 || len(all) > maxTableBatch {
		return nil, invalid("Too many items requested for the BatchGetItem call, or none")
	}
	return all, nil
}

// pageInput is common to Query and Scan.
type pageInput struct {
	placeholders
	TableName            string
	ConsistentRead       bool
	ExclusiveStartKey    item
	FilterExpression     *string
	Limit                *int
	ProjectionExpression *string
	Select               string
}

type itemPage struct {
	Items            []item `json:",omitzero"`
	Count            int
	ScannedCount     int
	LastEvaluatedKey item `json:",omitempty"`
}

// after is the exclusive start key.
func (r pageInput) after(t *table) (*tableKey, error) {
	if r.ExclusiveStartKey == nil {
		return nil, nil
	}
	k, err := t.key(r.ExclusiveStartKey, true)
	if err != nil {
		return nil, invalid("The provided starting key is invalid")
	}
	return &k, nil
}

// page collects rows up to the limit or 1 MB. A full page has a last evaluated key whether or not more rows follow.
func (r pageInput) page(t *table, c *compiler, rows iter.Seq[*row]) (p *itemPage, size int, err error) {
	filter, err := c.condition("FilterExpression", r.FilterExpression)
	if err != nil {
		return nil, 0, err
	}
	paths, err := c.projection(r.ProjectionExpression)
	if err == nil {
		err = c.finished()
	}
	switch {
	case err != nil:
		return nil, 0, err
	case r.Limit != nil && *r.Limit < 1:
		return nil, 0, outOfRange("limit", "value greater than or equal to 1")
	case r.Select != "" && r.Select != "COUNT" && r.Select != "ALL_ATTRIBUTES" && r.Select != "SPECIFIC_ATTRIBUTES",
		r.ProjectionExpression != nil && r.Select != "" && r.Select != "SPECIFIC_ATTRIBUTES":
		return nil, 0, invalid("Cannot specify this Select with what else the request has")
	}
	p = &itemPage{Items: []item{}}
	var last tableKey
	for row := range rows {
		if p.ScannedCount > 0 && size+row.size > maxTablePage {
			p.LastEvaluatedKey = t.keyItem(last)
			break
		}
		last = row.key
		size += row.size
		p.ScannedCount++
		if filter == nil || filter(row.item) {
			p.Count++
			p.Items = append(p.Items, row.item.project(paths))
		}
		if r.Limit != nil && p.ScannedCount == *r.Limit {
			p.LastEvaluatedKey = t.keyItem(last)
			break
		}
	}
	if r.Select == "COUNT" {
		p.Items = nil
	}
	return p, size, nil
}

type scanTable struct{ pageInput }

func (r scanTable) resourceIn(*tables) string { return r.TableName }

// scan charges the table but not its partitions.
func (st *tables) scan(r scanTable) (*itemPage, error) {
	t, err := st.find(r.TableName)
	if err != nil {
		return nil, err
	}
	after, err := r.after(t)
	if err != nil {
		return nil, err
	}
	p, size, err := r.page(t, r.compiler(), t.scan(after))
	if err != nil {
		return nil, err
	}
	return p, t.charge("", readCost(size, r.ConsistentRead), false)
}

type queryTable struct {
	pageInput
	KeyConditionExpression *string
	ScanIndexForward       *bool
}

func (r queryTable) resourceIn(st *tables) string {
	if t := st.byName[r.TableName]; t != nil {
		if asked, err := r.keys(t, r.compiler()); err == nil {
			return t.name + "/" + asked.hash
		}
	}
	return r.TableName
}

func (st *tables) query(r queryTable) (*itemPage, error) {
	t, err := st.find(r.TableName)
	if err != nil {
		return nil, err
	}
	c := r.compiler()
	asked, err := r.keys(t, c)
	if err != nil {
		return nil, err
	}
	after, err := r.after(t)
	if err != nil {
		return nil, err
	}
	if after != nil && after.hash != asked.hash {
		return nil, invalid("The provided starting key is outside query boundaries based on provided conditions")
	}
	if err := r.checkFilter(t); err != nil {
		return nil, err
	}
	backwards := r.ScanIndexForward != nil && !*r.ScanIndexForward
	p, size, err := r.page(t, c, t.query(asked, after, backwards))
	if err != nil {
		return nil, err
	}
	return p, t.charge(asked.hash, readCost(size, r.ConsistentRead), false)
}

// checkFilter refuses a filter on key attributes.
func (r queryTable) checkFilter(t *table) error {
	c := r.compiler()
	if _, err := c.condition("FilterExpression", r.FilterExpression); err != nil {
		return err
	}
	if c.roots[t.hash] || t.rng != "" && c.roots[t.rng] {
		return invalid("Filter Expression can only contain non-primary key attributes")
	}
	return nil
}

// keys parses the key condition: the partition key's value and an optional range of sort keys.
func (r queryTable) keys(t *table, c *compiler) (asked keyRange, err error) {
	const kind = "KeyConditionExpression"
	if r.KeyConditionExpression == nil {
		return asked, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	node, err := parseCondition(kind, *r.KeyConditionExpression)
	if err != nil {
		return asked, err
	}
	parts := []language.Expression{node}
	if both, ok := node.(*language.InfixExpression); ok && both.Operator == language.AND {
		parts = []language.Expression{both.Left, both.Right}
	}
	seen := make(map[string]bool)
	for _, part := range parts {
		k, err := c.keyCondition(part)
		if err != nil {
			return asked, err
		}
		switch {
		case seen[k.name]:
			return asked, invalid("KeyConditionExpressions must only contain one condition per key")
		case k.name == t.hash && k.operator == language.EQ:
			asked.hash = k.values[0]
		case k.name == t.rng && t.rng != "":
			asked.operator, asked.values = k.operator, k.values
		default:
			return asked, invalid("Query key condition not supported")
		}
		seen[k.name] = true
	}
	if !seen[t.hash] {
		return asked, invalid("Query condition missed key schema element: %s", t.hash)
	}
	return asked, nil
}

// A keyCondition compares a key attribute with one or two values.
type keyCondition struct {
	name, operator string
	values         [2]string
}

func (c *compiler) keyCondition(node language.Expression) (k keyCondition, err error) {
	const kind = "KeyConditionExpression"
	var attribute language.Expression
	var values []language.Expression
	switch node := node.(type) {
	case *language.InfixExpression:
		attribute, k.operator, values = node.Left, node.Operator, []language.Expression{node.Right}
	case *language.BetweenExpression:
		attribute, k.operator, values = node.Left, language.BETWEEN, node.Range[:]
	case *language.CallExpression:
		if k.operator = node.Function.String(); k.operator != "begins_with" || len(node.Arguments) != 2 {
			return k, invalid("Invalid %s: Invalid function name; function: %s", kind, k.operator)
		}
		attribute, values = node.Arguments[0], node.Arguments[1:]
	default:
		return k, syntaxError(kind)
	}
	if slices.Contains([]string{language.NotEQ, language.OR, language.AND}, k.operator) {
		return k, invalid("Invalid operator used in %s: %s", kind, k.operator)
	}
	p, err := c.path(kind, attribute)
	if err != nil || len(p) != 1 {
		return k, syntaxError(kind)
	}
	k.name = p[0].name
	for i, value := range values {
		of, err := c.operand(kind, value)
		if err != nil {
			return k, err
		}
		a, ok := of(nil)
		if !ok || a.kind != "S" {
			return k, invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
		}
		if k.operator != "begins_with" && a.text == "" {
			return k, invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", k.name)
		}
		k.values[i] = a.text
	}
	return k, nil
}

// Writing

// conditional is common to all writes.
type conditional struct {
	placeholders
	TableName           string
	ConditionExpression *string
	ReturnValues        string

	ReturnValuesOnConditionCheckFailure string
}

type putItem struct {
	conditional
	Item item
}

type deleteItem struct {
	conditional
	Key item
}

type updateItem struct {
	conditional
	Key              item
	UpdateExpression *string
}

type conditionCheck struct {
	conditional
	Key item
}

func (r putItem) resourceIn(st *tables) string    { return st.itemResource(r.TableName, r.Item) }
func (r deleteItem) resourceIn(st *tables) string { return st.itemResource(r.TableName, r.Key) }
func (r updateItem) resourceIn(st *tables) string { return st.itemResource(r.TableName, r.Key) }

// A change is a prepared write of one item.
type change struct {
	table     *table
	key       tableKey
	condition condition
	showOld   bool // where the condition fails
	only      bool // it checks the condition and writes nothing
	apply     func(old item) (item, error)
	named     []path // what an update is about

	old, new item
	size     int // of new
}

// prepare parses what is common to all writes. The caller compiles the remaining expressions and finishes the
// compiler.
func (st *tables) prepare(r conditional, key item, exact bool) (*change, *compiler, error) {
	t, err := st.find(r.TableName)
	if err != nil {
		return nil, nil, err
	}
	ch := &change{table: t}
	c := r.compiler()
	if ch.condition, err = c.condition("ConditionExpression", r.ConditionExpression); err != nil {
		return nil, nil, err
	}
	switch r.ReturnValuesOnConditionCheckFailure {
	case "ALL_OLD":
		ch.showOld = true
	case "", "NONE":
	default:
		return nil, nil, outOfRange("returnValuesOnConditionCheckFailure", "one of ALL_OLD, NONE")
	}
	ch.key, err = t.key(key, exact)
	return ch, c, err
}

func (r putItem) change(st *tables) (*change, error) {
	ch, c, err := st.prepare(r.conditional, r.Item, false)
	if err != nil {
		return nil, err
	}
	ch.apply = func(item) (item, error) { return r.Item, nil }
	return ch, c.finished()
}

func (r deleteItem) change(st *tables) (*change, error) {
	ch, c, err := st.prepare(r.conditional, r.Key, true)
	if err != nil {
		return nil, err
	}
	ch.apply = func(item) (item, error) { return nil, nil }
	return ch, c.finished()
}

func (r conditionCheck) change(st *tables) (*change, error) {
	ch, c, err := st.prepare(r.conditional, r.Key, true)
	if err != nil {
		return nil, err
	}
	if ch.condition == nil {
		return nil, outOfRange("conditionExpression", "a value")
	}
	ch.only = true
	ch.apply = func(old item) (item, error) { return old, nil }
	return ch, c.finished()
}

func (r updateItem) change(st *tables) (*change, error) {
	ch, c, err := st.prepare(r.conditional, r.Key, true)
	if err != nil {
		return nil, err
	}
	actions, err := c.update(r.UpdateExpression)
	if err != nil {
		return nil, err
	}
	for _, act := range actions {
		if root := act.path[0].name; root == ch.table.hash || root == ch.table.rng {
			return nil, invalid("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", root)
		}
		ch.named = append(ch.named, act.path)
	}
	ch.apply = func(old item) (item, error) {
		if old == nil {
			old = r.Key
		}
		return old.updated(actions)
	}
	return ch, c.finished()
}

// try computes the new item, or the reason for a refusal.
func (ch *change) try() (err error) {
	if found := ch.table.get(ch.key); found != nil {
		ch.old = found.item
	}
	if ch.condition != nil && !ch.condition(ch.old) {
		refused := refuse(conditionFailed, "The conditional request failed")
		if ch.showOld && ch.old != nil {
			refused.more = map[string]any{"Item": ch.old}
		}
		return refused
	}
	if ch.new, err = ch.apply(ch.old); err != nil {
		return err
	}
	ch.size = ch.new.size()
	return checkItemSize(ch.new)
}

const conditionFailed = "ConditionalCheckFailedException"

// charge is by the larger of the item before and after; refused writes cost too.
func (ch *change) charge(times int) error {
	return ch.table.charge(ch.key.hash, 2*times*units(max(ch.old.size(), ch.size), writeUnit), true)
}

func (ch *change) commit() {
	switch {
	case ch.only:
	case ch.new == nil:
		ch.table.remove(ch.key)
	default:
		ch.table.put(&row{ch.key, ch.new, ch.size})
	}
}

type itemWritten struct {
	Attributes item `json:",omitempty"`
}

// write applies one change and returns the requested values.
func (ch *change) write(returns string, allowed ...string) (*itemWritten, error) {
	if returns != "" && returns != "NONE" && !slices.Contains(allowed, returns) {
		return nil, invalid("ReturnValues can only be one of NONE, %s", strings.Join(allowed, ", "))
	}
	refused := ch.try()
	if err := ch.charge(1); err != nil {
		return nil, err
	}
	if refused != nil {
		return nil, refused
	}
	ch.commit()
	switch returns {
	case "ALL_OLD":
		return &itemWritten{ch.old}, nil
	case "ALL_NEW":
		return &itemWritten{ch.new}, nil
	case "UPDATED_OLD":
		return &itemWritten{ch.old.project(append([]path{}, ch.named...))}, nil
	case "UPDATED_NEW":
		return &itemWritten{ch.new.project(append([]path{}, ch.named...))}, nil
	}
	return &itemWritten{}, nil
}

func (st *tables) put(r putItem) (*itemWritten, error) {
	ch, err := r.change(st)
	if err != nil {
		return nil, err
	}
	return ch.write(r.ReturnValues, "ALL_OLD")
}

func (st *tables) delete(r deleteItem) (*itemWritten, error) {
	ch, err := r.change(st)
	if err != nil {
		return nil, err
	}
	return ch.write(r.ReturnValues, "ALL_OLD")
}

func (st *tables) update(r updateItem) (*itemWritten, error) {
	ch, err := r.change(st)
	if err != nil {
		return nil, err
	}
	return ch.write(r.ReturnValues, "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")
}

// Transactions

// A transactWrite has exactly one field set.
type transactWrite struct {
	ConditionCheck *conditionCheck `json:",omitempty"`
	Delete         *deleteItem     `json:",omitempty"`
	Put            *putItem        `json:",omitempty"`
	Update         *updateItem     `json:",omitempty"`
}

type transactWriteItems struct {
	ClientRequestToken string
	TransactItems      []transactWrite
}

// resourceIn names every item.
func (r transactWriteItems) resourceIn(st *tables) string {
	var all []string
	for _, w := range r.TransactItems {
		switch {
		case w.ConditionCheck != nil:
			all = append(all, st.itemResource(w.ConditionCheck.TableName, w.ConditionCheck.Key))
		case w.Delete != nil:
			all = append(all, w.Delete.resourceIn(st))
		case w.Put != nil:
			all = append(all, w.Put.resourceIn(st))
		case w.Update != nil:
			all = append(all, w.Update.resourceIn(st))
		}
	}
	return strings.Join(all, ",")
}

func (w transactWrite) change(st *tables) (*change, error) {
	var changes []func(*tables) (*change, error)
	if w.ConditionCheck != nil {
		changes = append(changes, w.ConditionCheck.change)
	}
	if w.Delete != nil {
		changes = append(changes, w.Delete.change)
	}
	if w.Put != nil {
		changes = append(changes, w.Put.change)
	}
	if w.Update != nil {
		changes = append(changes, w.Update.change)
	}
	if len(changes) != 1 {
		return nil, invalid("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	return changes[0](st)
}

// transacted is a completed transaction, for idempotency.
type transacted struct {
	request [sha256.Size]byte
	at      time.Time
}

const transactTokenLife = 10 * time.Minute

// repeated reports whether the transaction was already made.
func (st *tables) repeated(token string, request [sha256.Size]byte) (bool, error) {
	maps.DeleteFunc(st.done, func(_ string, d transacted) bool { return st.now().Sub(d.at) >= transactTokenLife })
	d, ok := st.done[token]
	if ok && d.request != request {
		return false, refuse("IdempotentParameterMismatchException", "The request has another content than the one with the same client token")
	}
	return ok, nil
}

type reason struct {
	Code    string
	Message string `json:",omitempty"`
	Item    item   `json:",omitempty"`
}

func (st *tables) transact(r transactWriteItems) (struct{}, error) {
	if n := len(r.TransactItems); n < 1 || n > maxTransaction {
		return struct{}{}, outOfRange("transactItems", "length between 1 and 100")
	}
	request, err := json.Marshal(r.TransactItems)
	if err != nil {
		return struct{}{}, err
	}
	digest := sha256.Sum256(request)
	if r.ClientRequestToken != "" {
		if before, err := st.repeated(r.ClientRequestToken, digest); before || err != nil {
			return struct{}{}, err
		}
	}
	changes, err := st.changes(r)
	if err != nil {
		return struct{}{}, err
	}
	if err := tryAll(changes); err != nil {
		return struct{}{}, err
	}
	for _, ch := range changes {
		ch.commit()
	}
	if r.ClientRequestToken != "" {
		st.done[r.ClientRequestToken] = transacted{digest, st.now()}
	}
	return struct{}{}, nil
}

func (st *tables) changes(r transactWriteItems) (changes []*change, err error) {
	type target struct {
		table *table
		key   tableKey
	}
	seen := make(map[target]bool)
	for _, w := range r.TransactItems {
		ch, err := w.change(st)
		if err != nil {
			return nil, err
		}
		if seen[target{ch.table, ch.key}] {
			return nil, invalid("Transaction request cannot include multiple operations on one item")
		}
		seen[target{ch.table, ch.key}] = true
		changes = append(changes, ch)
	}
	return changes, nil
}

// tryAll cancels a transaction if one write is refused, with a reason for each write. Transactional writes cost twice.
func tryAll(changes []*change) error {
	reasons := make([]reason, len(changes))
	codes := make([]string, len(changes))
	failed, size := false, 0
	for i, ch := range changes {
		reasons[i] = reason{Code: "None"}
		refused := ch.try()
		if err := ch.charge(2); err != nil {
			reasons[i] = reason{Code: "ThrottlingError", Message: err.Error()}
		} else if refused != nil {
			reasons[i] = cancelled(refused)
		}
		codes[i] = reasons[i].Code
		failed = failed || codes[i] != "None"
		size += ch.size
	}
	switch {
	case failed:
		err := refuse("TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", strings.Join(codes, ", "))
		err.more = map[string]any{"CancellationReasons": reasons}
		return err
	case size > maxTransactSize:
		return invalid("Member must have a total size of at most 4 MB")
	}
	return nil
}

func cancelled(err error) reason {
	refused := err.(*refusal)
	if refused.code != conditionFailed {
		return reason{Code: "ValidationError", Message: refused.message}
	}
	old, _ := refused.more["Item"].(item)
	return reason{Code: "ConditionalCheckFailed", Message: refused.message, Item: old}
}
