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

// Result counts the calls of a path with the same result in one minute.
type Result struct {
	Minute  time.Time `json:"minute"`
	Path    string    `json:"path"`
	Status  int       `json:"status"` // HTTP; 0: no answer was sent
	Errcode int       `json:"errcode"`
	Count   int       `json:"count"`
}

// resultRetention is how long results are counted.
const resultRetention = time.Hour

// Results returns the results of the last hour's calls, oldest first, as the client saw them.
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
	oldest := s.now().Add(-resultRetention).Truncate(time.Minute).UTC()
	maps.DeleteFunc(s.results, func(r Result, _ int) bool { return r.Minute.Before(oldest) })
}

func (s *Server) countResult(path string, seen *responseRecorder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := Result{Minute: s.now().Truncate(time.Minute).UTC(), Path: path, Status: seen.status, Errcode: seen.errcode()}
	if s.results[key] == 0 {
		s.dropOldResults()
	}
	s.results[key]++
}

// responseRecorder records the status and the beginning of a response.
type responseRecorder struct {
	to     http.ResponseWriter
	status int
	head   []byte
}

func (w *responseRecorder) Header() http.Header         { return w.to.Header() }
func (w *responseRecorder) Unwrap() http.ResponseWriter { return w.to } // for http.ResponseController

func (w *responseRecorder) WriteHeader(status int) {
	w.status = status
	w.to.WriteHeader(status)
}

// headLength suffices for any errcode, which comes first in a response.
const headLength = 64

func (w *responseRecorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.head = append(w.head, b[:min(len(b), max(0, headLength-len(w.head)))]...)
	return w.to.Write(b)
}

var errcodeOf = regexp.MustCompile(`"errcode":\s*(-?\d+)`)

func (w *responseRecorder) errcode() int {
	if m := errcodeOf.FindSubmatch(w.head); m != nil {
		code, _ := strconv.Atoi(string(m[1]))
		return code
	}
	return 0
}
