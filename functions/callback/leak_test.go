package main

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs more tests in parallel than there are cores, since many of them wait. No goroutine may outlive them.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
