package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// A usage is what a process has taken of the machine.
type usage struct {
	user, sys time.Duration
	waits     int64 // times that one of its threads slept and was woken
	maxRSSKB  int64
}

// use returns what this process has used so far.
func use() usage {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return usage{}
	}
	return usage{time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano()), int64(u.Nvcsw), maxRSSKB()}
}

// maxRSSKB is the peak of this program; rusage would still hold that of the one that started it.
func maxRSSKB() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kb int64
	fmt.Sscan(rest, &kb)
	return kb
}

// since keeps the peak of memory, which has no difference.
func (u usage) since(before usage) usage {
	return usage{u.user - before.user, u.sys - before.sys, u.waits - before.waits, u.maxRSSKB}
}

// printUse prints a server's line of JSON for the benchmarks.
func printUse(calls int64, ran time.Duration) {
	u := use()
	json.NewEncoder(os.Stderr).Encode(struct {
		Calls    int64   `json:"calls"`
		Seconds  float64 `json:"seconds"`
		CPUUser  float64 `json:"cpu_user_s"`
		CPUSys   float64 `json:"cpu_sys_s"`
		Waits    int64   `json:"waits"`
		MaxRSSKB int64   `json:"max_rss_kb"`
	}{calls, ran.Seconds(), u.user.Seconds(), u.sys.Seconds(), u.waits, u.maxRSSKB})
}

// preciseSleeps lets the current thread's sleeps end on time; by default they may be 50 us late.
func preciseSleeps() {
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_TIMERSLACK, 1, 0)
}

// sleepUntil sleeps in the system, without Go's timers.
func sleepUntil(at time.Time) {
	left := time.Until(at)
	if left <= 0 {
		return
	}
	pause := syscall.NsecToTimespec(int64(left))
	syscall.Syscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
}
