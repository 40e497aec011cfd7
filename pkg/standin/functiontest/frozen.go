package functiontest

import (
	"time"
	"unsafe"
)

// Frozen is a reading of the clocks as it is after Lambda has frozen the instance for d, in whole seconds: the wall
// clock went on and the monotonic one, whose reading t has to hold, did not. Code that compares such times without
// taking care believes that no time passed.
func Frozen(t time.Time, d time.Duration) time.Time {
	thawed := t
	// The type time.Time says how it is made: bits 30 to 62 of its first word are seconds on the wall clock.
	*(*uint64)(unsafe.Pointer(&thawed)) += uint64(d/time.Second) << 30
	if thawed.Sub(t) != 0 || thawed.Round(0).Sub(t.Round(0)) != d {
		panic("functiontest: t holds no monotonic reading, or time.Time is made differently by now")
	}
	return thawed
}
