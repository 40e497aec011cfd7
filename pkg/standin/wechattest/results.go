package wechattest

import (
	"cmp"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Result counts the calls of one path that were answered alike in one minute.
type Result struct {
	Minute  time.Time `json:"minute"`
	Path    string    `json:"path"`
	Status  int       `json:"status"` // HTTP; 0: no answer was sent
	Errcode int       `json:"errcode"`
	Count   int       `json:"count"`
}

// resultsKept is how long results are counted.
const resultsKept = time.Hour

// Results returns what became of the calls of the last hour, oldest first. Faults count as what the client got.
func (s *Server) Results() []Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropOldResults()
	all := []Result{}
	for r, n := range s.results {
		r.Count = n
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Result) int {
		return cmp.Or(a.Minute.Compare(b.Minute), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Status, b.Status), cmp.Compare(a.Errcode, b.Errcode))
	})
	return all
}

func (s *Server) dropOldResults() {
	oldest := s.now().Add(-resultsKept).Truncate(time.Minute).UTC()
	maps.DeleteFunc(s.results, func(r Result, _ int) bool { return r.Minute.Before(oldest) })
}

func (s *Server) countResult(path string, seen *answerWatch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := Result{Minute: s.now().Truncate(time.Minute).UTC(), Path: path, Status: seen.status, Errcode: seen.errcode()}
	if s.results[key] == 0 {
		s.dropOldResults()
	}
	s.results[key]++
}

// answerWatch remembers the status and the beginning of an answer.
type answerWatch struct {
	to     http.ResponseWriter
	status int
	head   []byte
}

func (w *answerWatch) Header() http.Header         { return w.to.Header() }
func (w *answerWatch) Unwrap() http.ResponseWriter { return w.to } // for http.ResponseController

func (w *answerWatch) WriteHeader(status int) {
	w.status = status
	w.to.WriteHeader(status)
}

// headLength is more than any errcode needs: it is an answer's first key.
const headLength = 64

func (w *answerWatch) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.head = append(w.head, b[:min(len(b), max(0, headLength-len(w.head)))]...)
	return w.to.Write(b)
}

var errcodeOf = regexp.MustCompile(`"errcode":\s*(-?\d+)`)

func (w *answerWatch) errcode() int {
	if m := errcodeOf.FindSubmatch(w.head); m != nil {
		code, _ := strconv.Atoi(string(m[1]))
		return code
	}
	return 0
}
