package wechat

import (
	"slices"
	"sync"
	"time"
)

const (
	badGatewaysUntilAvoided = 3
	avoidedFor              = time.Minute
)

// hosts are the base URLs, in the order in which they are preferred. One whose gateway fails again and again is avoided
// for a while.
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

// order is the order in which a call tries the base URLs: those that are avoided come last. A write, which is sent once,
// avoids those too whose latest answer was a gateway's.
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

// answered notes that a base URL answered, and whether its gateway answered in place of WeChat.
func (h *hosts) answered(base string, badGateway bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := &h.hosts[slices.IndexFunc(h.hosts, func(one host) bool { return one.base == base })]
	if !badGateway {
		one.badGateways = 0
		return
	}
	if one.badGateways++; one.badGateways >= badGatewaysUntilAvoided {
		one.avoidedUntil = h.now().Add(avoidedFor)
	}
}
