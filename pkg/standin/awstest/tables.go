package awstest

import (
	"hash/fnv"
	"iter"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	maxItem         = 400 << 10 // bytes
	maxHashKey      = 2048
	maxRangeKey     = 1024
	maxTablePage    = 1 << 20
	maxTableBatch   = 100
	maxTransaction  = 100
	maxTransactSize = 4 << 20
	readUnit        = 4096
	writeUnit       = 1024

	// Limits per second of a table, and of one partition key value.
	tableWrites, tableReads         = 4000, 12_000
	partitionWrites, partitionReads = 1000, 3000
)

// tables are the DynamoDB tables of an account and Region.
type tables struct {
	now       func() time.Time
	throttled bool

	mu     sync.Mutex
	byName map[string]*table
	done   map[string]transacted // by ClientRequestToken
}

// A table has string keys, and items under each of its partition key's values.
type table struct {
	name      string
	hash, rng string // the key attributes' names; no rng in a table without a sort key
	id        string
	created   time.Time

	partitions map[string]*partition
	// order is the order of a Scan: by a hash of the partition key, as in DynamoDB, so that no caller relies on key
	// order.
	order  names
	limits *capacity // nil admits everything
	byHash map[string]*capacity
}

type partition struct {
	rows  map[string]*row // by sort key
	order names
}

// A row is immutable.
type row struct {
	key  tableKey
	item item
	size int
}

type tableKey struct{ hash, rng string }

func newTables(now func() time.Time, throttled bool) *tables {
	return &tables{now: now, throttled: throttled, byName: make(map[string]*table), done: make(map[string]transacted)}
}

// CreateTable creates a table with string keys, unless one with that name and those keys exists. An empty rangeKey
// means no sort key.
func (s *Server) CreateTable(name, hashKey, rangeKey string) {
	st := s.tables
	st.mu.Lock()
	defer st.mu.Unlock()
	if t := st.byName[name]; t != nil {
		if t.hash != hashKey || t.rng != rangeKey {
			panic("awstest: the table " + name + " has other keys")
		}
		return
	}
	t := &table{
		name: name, hash: hashKey, rng: rangeKey, id: newUUID(), created: st.now(),
		partitions: make(map[string]*partition), byHash: make(map[string]*capacity),
	}
	if st.throttled {
		t.limits = newCapacity(tableWrites, tableReads)
	}
	st.byName[name] = t
}

// SetItem writes an item as PutItem would, without using capacity. Values are strings, int, int64, float64,
// [json.Number], bool, []byte, nil, and slices and maps of these. It panics if the table does not exist or DynamoDB
// would refuse the item.
func (s *Server) SetItem(table string, item map[string]any) {
	st := s.tables
	it := itemOf(item)
	st.mu.Lock()
	defer st.mu.Unlock()
	t := st.must(table)
	k, err := t.key(it, false)
	if err == nil {
		err = checkItemSize(it)
	}
	if err != nil {
		panic("awstest: " + err.Error())
	}
	t.put(&row{k, it, it.size()})
}

// Item returns an item by its key; rangeKey is empty for a table without a sort key. Numbers are [json.Number], as
// exact as DynamoDB's; binary values are []byte, lists []any and maps map[string]any.
func (s *Server) Item(table, hashKey, rangeKey string) (map[string]any, bool) {
	st := s.tables
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.must(table).get(tableKey{hashKey, rangeKey})
	if r == nil {
		return nil, false
	}
	return r.item.values(), true
}

// Items returns all items of a table in key order; see [Server.Item].
func (s *Server) Items(table string) []map[string]any {
	st := s.tables
	st.mu.Lock()
	defer st.mu.Unlock()
	t := st.must(table)
	var all []map[string]any
	for _, hash := range slices.Sorted(maps.Keys(t.partitions)) {
		p := t.partitions[hash]
		for _, rng := range p.order {
			all = append(all, p.rows[rng].item.values())
		}
	}
	return all
}

// DeleteItem removes an item if it exists.
func (s *Server) DeleteItem(table, hashKey, rangeKey string) {
	st := s.tables
	st.mu.Lock()
	defer st.mu.Unlock()
	st.must(table).remove(tableKey{hashKey, rangeKey})
}

// The caller of everything below holds the lock.

func (st *tables) must(name string) *table {
	t := st.byName[name]
	if t == nil {
		panic("awstest: no table " + name)
	}
	return t
}

func (st *tables) find(name string) (*table, error) {
	if t := st.byName[name]; t != nil {
		return t, nil
	}
	return nil, refuse("ResourceNotFoundException", "Requested resource not found")
}

// key extracts an item's key; exact refuses any further attributes.
func (t *table) key(it item, exact bool) (k tableKey, err error) {
	want := 1
	if k.hash, err = keyValue(it, t.hash, maxHashKey); err == nil && t.rng != "" {
		want = 2
		k.rng, err = keyValue(it, t.rng, maxRangeKey)
	}
	if err == nil && exact && len(it) != want {
		err = invalid("The provided key element does not match the schema")
	}
	return k, err
}

func keyValue(it item, name string, most int) (string, error) {
	switch a, ok := it[name]; {
	case !ok:
		return "", invalid("One or more parameter values were invalid: Missing the key %s in the item", name)
	case a.kind != "S":
		return "", invalid("One or more parameter values were invalid: Type mismatch for key %s expected: S actual: %s", name, a.kind)
	case a.text == "":
		return "", invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", name)
	case len(a.text) > most:
		return "", invalid("One or more parameter values were invalid: Size of key %s has exceeded the maximum size limit of %d bytes", name, most)
	default:
		return a.text, nil
	}
}

func checkItemSize(it item) error {
	if it.size() > maxItem {
		return invalid("Item size has exceeded the maximum allowed size")
	}
	return nil
}

// keyItem is the key in its response form.
func (t *table) keyItem(k tableKey) item {
	it := item{t.hash: textAttribute(k.hash)}
	if t.rng != "" {
		it[t.rng] = textAttribute(k.rng)
	}
	return it
}

func (t *table) get(k tableKey) *row {
	if p := t.partitions[k.hash]; p != nil {
		return p.rows[k.rng]
	}
	return nil
}

func (t *table) put(r *row) {
	p := t.partitions[r.key.hash]
	if p == nil {
		p = &partition{rows: make(map[string]*row)}
		t.partitions[r.key.hash] = p
		t.order.add(scanned(r.key.hash))
	}
	if p.rows[r.key.rng] == nil {
		p.order.add(r.key.rng)
	}
	p.rows[r.key.rng] = r
}

func (t *table) remove(k tableKey) {
	p := t.partitions[k.hash]
	if p == nil || p.rows[k.rng] == nil {
		return
	}
	delete(p.rows, k.rng)
	p.order.remove(k.rng)
	if len(p.rows) == 0 {
		delete(t.partitions, k.hash)
		t.order.remove(scanned(k.hash))
	}
}

const hashBytes = 8

// scanned puts a hash before a partition key.
func scanned(hashKey string) string {
	h := fnv.New64a()
	h.Write([]byte(hashKey))
	return string(h.Sum(make([]byte, 0, hashBytes))) + hashKey
}

// scan yields all rows after a key.
func (t *table) scan(after *tableKey) iter.Seq[*row] {
	return func(yield func(*row) bool) {
		order := t.order
		if after != nil {
			order = order.from(scanned(after.hash))
		}
		for _, scannedKey := range order {
			hashKey := scannedKey[hashBytes:]
			p := t.partitions[hashKey]
			rows := p.order
			if after != nil && hashKey == after.hash {
				rows = rows[upper(rows, after.rng):]
			}
			for _, rng := range rows {
				if !yield(p.rows[rng]) {
					return
				}
			}
		}
	}
}

// upper is the index after a name.
func upper(n names, name string) int {
	return sort.Search(len(n), func(i int) bool { return n[i] > name })
}

// lower is the index of a name, or of the next one.
func lower(n names, name string) int { return sort.SearchStrings(n, name) }

// A keyRange is a Query's range of sort keys under one partition key.
type keyRange struct {
	hash     string
	operator string // none: all of them
	values   [2]string
}

// bounds returns the indexes of the range.
func (r keyRange) bounds(n names) (from, to int) {
	from, to = 0, len(n)
	first, last := r.values[0], r.values[1]
	switch r.operator {
	case "=":
		from, to = lower(n, first), upper(n, first)
	case "<":
		to = lower(n, first)
	case "<=":
		to = upper(n, first)
	case ">":
		from = upper(n, first)
	case ">=":
		from = lower(n, first)
	case "BETWEEN":
		from, to = lower(n, first), upper(n, last)
	case "begins_with":
		from = lower(n, first)
		to = from + sort.Search(len(n)-from, func(i int) bool { return !strings.HasPrefix(n[from+i], first) })
	}
	return from, max(from, to)
}

// query yields the rows of a range after a key, in either direction.
func (t *table) query(r keyRange, after *tableKey, backwards bool) iter.Seq[*row] {
	return func(yield func(*row) bool) {
		p := t.partitions[r.hash]
		if p == nil {
			return
		}
		from, to := r.bounds(p.order)
		switch {
		case after != nil && backwards:
			to = min(to, lower(p.order, after.rng))
		case after != nil:
			from = max(from, upper(p.order, after.rng))
		}
		for i := range max(0, to-from) {
			at := from + i
			if backwards {
				at = to - 1 - i
			}
			if !yield(p.rows[p.order[at]]) {
				return
			}
		}
	}
}

// Capacity

// capacity limits writes and reads per second, in half units: an eventually consistent read costs half a unit.
type capacity struct{ writes, reads *rate.Limiter }

func newCapacity(writes, reads int) *capacity {
	return &capacity{
		writes: rate.NewLimiter(rate.Limit(2*writes), 2*writes),
		reads:  rate.NewLimiter(rate.Limit(2*reads), 2*reads),
	}
}

// units is the cost of a size, at least one.
func units(size, unit int) int { return max(1, (size+unit-1)/unit) }

// readCost is in half units.
func readCost(size int, consistent bool) int {
	if consistent {
		return 2 * units(size, readUnit)
	}
	return units(size, readUnit)
}

func overCapacity() *refusal {
	return refuse("ProvisionedThroughputExceededException", "The level of configured provisioned throughput for the table was exceeded")
}

// charge takes half units from a table and, for a call about one partition, from the partition: from both or neither.
func (t *table) charge(hashKey string, halves int, write bool) error {
	if t.limits == nil {
		return nil
	}
	limiters := []*rate.Limiter{t.limits.of(write)}
	if hashKey != "" {
		if t.byHash[hashKey] == nil {
			t.byHash[hashKey] = newCapacity(partitionWrites, partitionReads)
		}
		limiters = append(limiters, t.byHash[hashKey].of(write))
	}
	now := time.Now()
	for _, l := range limiters {
		if l.TokensAt(now) < float64(halves) {
			return overCapacity()
		}
	}
	for _, l := range limiters {
		l.AllowN(now, halves)
	}
	return nil
}

func (c *capacity) of(write bool) *rate.Limiter {
	if write {
		return c.writes
	}
	return c.reads
}
