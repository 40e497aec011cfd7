package wechat

import (
	"slices"
	"sync"
	"time"
)

const (
	maxBadGateways = 3
	avoidDuration  = time.Minute
)

// hosts are the base URLs in order of preference. One whose gateway fails repeatedly is avoided for a while.
type hosts struct {
	now func() time.Time

	mu    sync.Mutex
	hosts []host
}

type host struct {
	base         string
	badGateways  int // in a row
	avoidedUntil time.Time
}

func newHosts(bases []string) *hosts {
	h := &hosts{now: time.Now}
	for _, base := range bases {
		h.hosts = append(h.hosts, host{base: base})
	}
	return h
}

// order is the order in which a call tries the base URLs, avoided ones last. A write, which is sent once, also avoids those
// whose last answer was a bad gateway's.
func (h *hosts) order(write bool) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	var order, avoided []string
	for _, one := range h.hosts {
		if now.Before(one.avoidedUntil) || write && one.badGateways > 0 {
			avoided = append(avoided, one.base)
		} else {
			order = append(order, one.base)
		}
	}
	return append(order, avoided...)
}

// answered records an answer of a base URL, and whether it came from its gateway instead of WeChat.
func (h *hosts) answered(base string, badGateway bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := &h.hosts[slices.IndexFunc(h.hosts, func(one host) bool { return one.base == base })]
	if !badGateway {
		one.badGateways = 0
		return
	}
	if one.badGateways++; one.badGateways >= maxBadGateways {
		one.avoidedUntil = h.now().Add(avoidDuration)
	}
}
