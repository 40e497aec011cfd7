package main

import (
	"testing"

	"wechat-draftbox/pkg/standin/functiontest"
)

func TestBehindEveryFront(t *testing.T) {
	t.Parallel()
	for name, front := range functiontest.Fronts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, true)
			s.callback = s.callback.Behind(front)
			at := s.now()
			checkSuccess(t, s.ticket("ticket@@@behind-a-front", at))
			s.checkTicket("ticket@@@behind-a-front", at)
		})
	}
}
