package functiontest

import (
	"time"
	"unsafe"
)

// Frozen is a clock reading after Lambda has frozen the instance for d, in whole seconds: the wall clock advanced, the
// monotonic clock, whose reading t must have, did not. Code that naively compares such times sees no time pass.
func Frozen(t time.Time, d time.Duration) time.Time {
	thawed := t
	// See the layout of time.Time: bits 30 to 62 of its first word are seconds on the wall clock.
	*(*uint64)(unsafe.Pointer(&thawed)) += uint64(d/time.Second) << 30
	if thawed.Sub(t) != 0 || thawed.Round(0).Sub(t.Round(0)) != d {
		panic("functiontest: t holds no monotonic reading, or time.Time is made differently by now")
	}
	return thawed
}
