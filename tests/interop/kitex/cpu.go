package main

import (
	"syscall"
	"time"
)

// cpuUse returns this process's CPU time so far and its peak memory.
func cpuUse() (user, sys time.Duration, maxRSSKB int64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0, 0
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano()), int64(u.Maxrss)
}
