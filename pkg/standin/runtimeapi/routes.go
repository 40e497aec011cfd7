package runtimeapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxPayload is Lambda's limit for a response, in bytes.
const maxPayload = 6<<20 + 100

// routes are the four calls of the Runtime API.
func (p *process) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", p.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		p.serveAnswer(w, r, false)
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) {
		p.serveAnswer(w, r, true)
	})
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", p.serveInitError)
	return mux
}

func (p *process) serveNext(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.ready = true
	p.mu.Unlock()
	var inv *invocation
	select {
	case inv = <-p.queue:
	case <-p.gone:
		return
	case <-r.Context().Done():
		return
	}
	deadline, ok := p.take(inv)
	if !ok {
		inv.answer <- answer{err: errNotTaken}
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(inv.event)))
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:"+p.function.Name)
	h.Set("Lambda-Runtime-Trace-Id", fmt.Sprintf("Root=1-%08x-%.8s%.4s%.12s;Sampled=0",
		time.Now().Unix(), inv.id, inv.id[9:], inv.id[24:]))
	w.Write(inv.event)
}

func (p *process) serveAnswer(w http.ResponseWriter, r *http.Request, failed bool) {
	payload, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		return // the process died in the middle: its exit is the answer
	}
	a := answer{payload: payload, failed: failed, at: time.Now()}
	tooLarge := len(payload) > maxPayload
	if tooLarge {
		a.failed = true
		a.payload = problem("Function.ResponseSizeTooLarge",
			fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxPayload))
	}
	switch known := p.finish(r.PathValue("id"), a); {
	case !known:
		refuse(w, http.StatusBadRequest, problem("InvalidRequestID", "no invocation of this id is in flight"))
	case tooLarge:
		refuse(w, http.StatusRequestEntityTooLarge, a.payload)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// serveInitError records a runtime's error at start. The process then exits by itself, and its exit is reported with
// this error.
func (p *process) serveInitError(w http.ResponseWriter, r *http.Request) {
	var said struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxPayload)).Decode(&said); err == nil {
		fmt.Fprintf(p.stderr, "%s: %s\n", said.Type, said.Message)
	}
	w.WriteHeader(http.StatusAccepted)
}

func refuse(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

func problem(kind, message string) []byte {
	body, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message})
	return body
}
