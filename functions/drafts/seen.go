package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/plainjson"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/wechat"
)

// record is what is remembered of a draft, and what an event tells of one that is gone.
type record struct {
	DraftID                int64    `json:"draft_id"`
	CreateTime             int64    `json:"create_time"`
	UserVersion            string   `json:"user_version"`
	SourceMiniprogramAppID string   `json:"source_miniprogram_appid"` // empty where WeChat sent none
	Truncated              []string `json:"truncated,omitempty"`      // keys whose text was cut
}

// maxRemembered is how many bytes of JSON are kept of a text. WeChat's own tools end a version at 64 characters; more
// than this can't be kept for 500 drafts.
const maxRemembered = 1 << 10

func newRecord(d wechat.Draft) record {
	r := record{
		DraftID: d.DraftID, CreateTime: d.CreateTime,
		UserVersion:            cut(d.UserVersion, maxRemembered),
		SourceMiniprogramAppID: cut(d.SourceMiniprogramAppID, maxRemembered),
	}
	if r.UserVersion != d.UserVersion {
		r.Truncated = []string{"user_version"}
	}
	return r
}

// cut is the longest beginning of a text that takes at most limit bytes inside a JSON string.
func cut(text string, limit int) string {
	for i, r := range text {
		switch {
		case strings.ContainsRune("\"\\\b\f\n\r\t", r):
			limit -= len(`\n`)
		case r < ' ', r == '\u2028', r == '\u2029':
			limit -= len(`\u0000`)
		default:
			limit -= utf8.RuneLen(r)
		}
		if limit < 0 {
			return text[:i]
		}
	}
	return text
}

// key tells drafts apart. The id alone would not, should WeChat ever give one out again.
type key struct{ id, createTime int64 }

func (r record) key() key { return key{r.DraftID, r.CreateTime} }

// compare orders records from old to new.
func (r record) compare(other record) int {
	return cmp.Or(cmp.Compare(r.CreateTime, other.CreateTime), cmp.Compare(r.DraftID, other.DraftID))
}

// memory is what the last watch saw. It stands in pages, one parameter each, because 500 drafts are more than a
// parameter holds. A page is read and written as a whole and stands for itself, so it does no harm that several can't
// be written at once: a run that dies in between has some drafts still to be told, or told already.
//
// Drafts stay on their page, so news cost one write, and all pages are read by one call as long as there are no more
// than ten. That is why they are compressed: ten pages in clear end at 500 drafts with versions of 30 Chinese
// characters.
type memory struct {
	parameters parameter.Store
	pages      []*page // the first page first
	gone       map[key]bool
}

const (
	folder = "drafts-seen"
	// firstPage is written last when there are several, and never deleted: where it is missing, no watch came to
	// its end yet.
	firstPage = folder + "/0"
	// pagesPerRead is how many parameters SSM gives at a time.
	pagesPerRead = 10
)

type page struct {
	name    string // below the parameters' prefix
	version int64  // SSM's number of what was read; 0: it isn't there
	content pageContent
	text    string // content as it is to stand
	changed bool
	added   []record
}

type pageContent struct {
	Drafts []record `json:"drafts"`
	// Keyless, on the first page: the last answer had no draft_list, and was not believed.
	Keyless bool `json:"keyless,omitempty"`
}

// recall reads what the last watch saw. Errors are of package awserror.
func recall(ctx context.Context, parameters parameter.Store) (*memory, error) {
	m := &memory{parameters: parameters, gone: make(map[key]bool)}
	first := &page{name: firstPage}
	for next := ""; ; {
		values, after, err := parameters.List(ctx, folder, next, pagesPerRead)
		if err != nil {
			return nil, fmt.Errorf("read what the last watch saw: %w", err)
		}
		for _, v := range values {
			content, err := decodePage(v)
			if err != nil {
				return nil, err
			}
			p := &page{folder + "/" + v.Name[strings.LastIndexByte(v.Name, '/')+1:], v.Version, content, v.Text.Reveal(), false, nil}
			if p.name == firstPage {
				first = p
			} else {
				m.pages = append(m.pages, p)
			}
		}
		if next = after; next == "" {
			m.pages = slices.Insert(m.pages, 0, first)
			return m, nil
		}
	}
}

// isBlank reports whether no watch ever came to its end.
func (m *memory) isBlank() bool { return m.pages[0].version == 0 }

// records are all drafts that the last watch saw.
func (m *memory) records() map[key]record {
	all := make(map[key]record)
	for _, p := range m.pages {
		for _, r := range p.content.Drafts {
			all[r.key()] = r
		}
	}
	return all
}

// keyless reports whether the last answer had no draft_list, and was not believed.
func (m *memory) keyless() bool { return m.pages[0].content.Keyless }

func (m *memory) setKeyless(keyless bool) {
	if first := m.pages[0]; first.content.Keyless != keyless {
		content := first.content
		content.Keyless = keyless
		first.set(content)
	}
}

// forget takes drafts that are gone off their pages.
func (m *memory) forget(records []record) {
	for _, r := range records {
		m.gone[r.key()] = true
	}
	for _, p := range m.pages {
		if content := p.content.without(m.gone); len(content.Drafts) < len(p.content.Drafts) {
			p.set(content)
		}
	}
}

// remember puts new drafts on pages: those that are to be written anyway before others, and then the emptiest.
func (m *memory) remember(records []record) {
	pages := slices.SortedStableFunc(slices.Values(m.pages), func(a, b *page) int {
		if a.changed != b.changed {
			if a.changed {
				return -1
			}
			return 1
		}
		return cmp.Compare(len(a.text), len(b.text))
	})
	for _, p := range pages {
		records = p.take(records)
	}
	for n := 1; len(records) > 0; n++ {
		name := folder + "/" + strconv.Itoa(n)
		if slices.ContainsFunc(m.pages, func(p *page) bool { return p.name == name }) {
			continue
		}
		p := &page{name: name}
		records = p.take(records)
		m.pages = append(m.pages, p)
	}
}

// leftFree is how many bytes of a page are left, so that a draft which takes another one's place fits where that stood,
// although it packs a little worse.
const leftFree = 64

// take puts as many of the records on the page as there is room for, and returns the others.
func (p *page) take(records []record) (others []record) {
	limit := parameter.MaxValue
	if !p.changed {
		limit -= leftFree
	}
	fits := func(n int) bool { return len(p.content.with(records[:n]).encode()) <= limit }
	most := 1 // nothing much larger than a page is ever packed
	for most < len(records) && fits(most) {
		most *= 2
	}
	n := sort.Search(min(most, len(records)), func(n int) bool { return !fits(n + 1) })
	if n > 0 {
		p.set(p.content.with(records[:n]))
		p.added = append(p.added, records[:n]...)
	}
	return records[n:]
}

func (p *page) set(content pageContent) {
	p.content, p.text, p.changed = content, content.encode(), true
}

func (c pageContent) without(gone map[key]bool) pageContent {
	c.Drafts = slices.DeleteFunc(slices.Clone(c.Drafts), func(r record) bool { return gone[r.key()] })
	return c
}

// with adds those records that aren't there.
func (c pageContent) with(records []record) pageContent {
	c.Drafts = slices.Concat(c.Drafts, records)
	slices.SortStableFunc(c.Drafts, record.compare)
	c.Drafts = slices.CompactFunc(c.Drafts, func(a, b record) bool { return a.key() == b.key() })
	return c
}

// save writes what changed, the first page last.
func (m *memory) save(ctx context.Context) error {
	if m.isBlank() {
		m.pages[0].set(m.pages[0].content)
	}
	for i, p := range slices.Backward(m.pages) {
		if !p.changed {
			continue
		}
		var err error
		switch {
		case p.version == 0:
			err = m.create(ctx, p)
		case i > 0 && len(p.content.Drafts) == 0:
			err = m.parameters.Delete(ctx, p.name)
		default:
			err = m.overwrite(ctx, p)
		}
		if err != nil {
			return fmt.Errorf("save what the watch saw: %w", err)
		}
	}
	return nil
}

// create writes a page that wasn't there. If another run was quicker the error is of kind [awserror.Conflict]: what
// it saw must not be overwritten by a run that knows nothing of it, least of all the first ever, which tells nobody.
func (m *memory) create(ctx context.Context, p *page) error {
	_, err := m.parameters.Create(ctx, p.name, secret.New(p.text))
	if !awserror.Is(err, awserror.Exists) {
		return err
	}
	there, err := m.parameters.Get(ctx, p.name)
	if err == nil && there.Text.Reveal() != p.text { // else it was this run, and the answer was lost
		err = &awserror.Error{Operation: "ssm:PutParameter", Resource: there.Name, Kind: awserror.Conflict,
			Code: "ParameterAlreadyExists", Detail: "another watch made it at the same time"}
	}
	return err
}

// overwrite writes a page over the one that was read. Where another run wrote in between and was overwritten, this
// run's own changes are made to what that one wrote, so that nothing that either has told is forgotten.
func (m *memory) overwrite(ctx context.Context, p *page) error {
	for read := p.version; ; {
		ours := secret.New(p.text)
		written, err := m.parameters.Put(ctx, p.name, ours)
		if err != nil {
			return err
		}
		theirs, ok, err := m.parameters.Overwritten(ctx, p.name, read, written, ours)
		if err != nil || !ok {
			return err
		}
		content, err := decodePage(theirs)
		if err != nil {
			return err
		}
		merged := content.without(m.gone).with(p.added)
		merged.Keyless = p.content.Keyless
		if p.set(merged); p.text == ours.Reveal() {
			return nil
		}
		read = written
	}
}

// packers are used again: each has half a megabyte of tables, and filling pages takes hundreds of tries.
var packers = sync.Pool{New: func() any {
	pack, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a known one
	return pack
}}

// encode writes a page: gzip of its JSON, in base64. The same content always gives the same text.
func (c pageContent) encode() string {
	text, _ := plainjson.Marshal(c) // nothing in it can't be encoded
	var out bytes.Buffer
	pack := packers.Get().(*gzip.Writer)
	defer packers.Put(pack)
	pack.Reset(&out)
	pack.Write(text) // a buffer takes everything
	pack.Close()
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

func decodePage(v parameter.Value) (pageContent, error) {
	content, err := func() (c pageContent, err error) {
		packed, err := base64.StdEncoding.DecodeString(v.Text.Reveal())
		if err != nil {
			return c, err
		}
		unpack, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return c, err
		}
		text, err := io.ReadAll(unpack)
		if err != nil {
			return c, err
		}
		return c, json.Unmarshal(text, &c)
	}()
	if err != nil {
		return pageContent{}, &awserror.Malformed{Resource: v.Name, Detail: "it does not hold what the last watch saw; " +
			"put a former version of it back, or delete it and all beside it: then the next watch records what stands in the box and sends no events"}
	}
	return content, nil
}
