package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"wechat-draftbox/cmd/internal/console/chart"
)

// chartData is what the page read from the API for a chart.
type chartData struct {
	Accounts []chart.Accounts     `json:"accounts"`
	Tokens   []chart.Token        `json:"tokens"`
	Drafts   []chart.HistoryDraft `json:"drafts"`
	Calls    []chart.Calls        `json:"calls"`
	More     bool                 `json:"more"` // there is more than was read
}

// maxChartData allows for the tokens of 20,000 accounts.
const maxChartData = 16 << 20

// serveChart draws the data in the body. The page reads the data itself, so charts don't use the backend.
func serveChart(w http.ResponseWriter, r *http.Request) {
	var data chartData
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxChartData)).Decode(&data); err != nil {
		say(w, http.StatusBadRequest, "the data of the chart can't be read: "+err.Error())
		return
	}
	page := chart.Page{Language: r.URL.Query().Get("language"), Now: time.Now()}
	var drawn bytes.Buffer
	var err error
	switch r.PathValue("chart") {
	case "accounts":
		err = page.Accounts(&drawn, data.Accounts, data.More)
	case "tokens":
		err = page.Tokens(&drawn, data.Tokens, data.More)
	case "history":
		err = page.History(&drawn, data.Drafts, data.More)
	case "calls":
		err = page.Calls(&drawn, data.Calls)
	default:
		say(w, http.StatusNotFound, "there is no chart of this name")
		return
	}
	if err != nil {
		say(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", ContentPolicy)
	w.Write(drawn.Bytes())
}
