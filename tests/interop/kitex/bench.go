package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kitexpeer/kitex_gen/interop"
)

type benchResult struct {
	Calls      int     `json:"calls"`
	Seconds    float64 `json:"seconds"`
	CPUUser    float64 `json:"cpu_user_us_per_call"`
	CPUSys     float64 `json:"cpu_sys_us_per_call"`
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	P999       float64 `json:"p999_us"`
	MaxLatency float64 `json:"max_us"`
	Waits      float64 `json:"waits_per_call"`
	RSSKB      int64   `json:"rss_kb"`
}

// A benchLoad says how many calls are made, and when.
type benchLoad struct {
	callers, size  int
	length, warmup time.Duration
	callsPerSecond float64 // 0: a caller's next call starts when its last one has ended
}

func benchMain(args []string) error {
	fs := flag.NewFlagSet("bench-client", flag.ExitOnError)
	addr := fs.String("addr", "", "server `address`")
	wireName := fs.String("transport", string(wireTTHeaderFramed), "framed, buffered, ttheader, ttheader-framed or mux")
	callers := fs.Int("c", 1, "concurrent callers, one connection each")
	seconds := fs.Float64("seconds", 5, "measured time, after a warm-up")
	warmup := fs.Float64("warmup", 0.5, "seconds before that: connections are opened, pools and scheduler settle")
	size := fs.Int("size", 1024, "payload bytes in each direction")
	rate := fs.Float64("rate", 0, "calls per second, at fixed times from which their latency counts; 0: one after the other")
	fs.Parse(args)
	quietKitex(false)

	w, err := parseWire(*wireName)
	if err != nil {
		return err
	}
	if *addr == "" {
		return fmt.Errorf("-addr is missing")
	}
	d := dialer{addr: *addr, wire: w, timeout: 10 * time.Second, maxIdle: *callers}
	load := benchLoad{*callers, *size, duration(*seconds), duration(*warmup), *rate}
	res, err := bench(d, load)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}

// Phases of a benchmark; callers keep latencies only while measuring.
const (
	phaseWarmup int32 = iota
	phaseMeasure
	phaseStop
)

func bench(d dialer, load benchLoad) (*benchResult, error) {
	cli, err := d.interop()
	if err != nil {
		return nil, err
	}
	var phase atomic.Int32
	var due *schedule
	if load.callsPerSecond > 0 {
		due = startSchedule(load.callsPerSecond)
	}
	lats := make([][]time.Duration, load.callers)
	errs := make([]error, load.callers)
	var wg sync.WaitGroup
	for i := range lats {
		wg.Add(1)
		go func() {
			defer wg.Done()
			req := &interop.Req{Message: "bench", Payload: patternBytes(load.size)}
			for {
				start := time.Now()
				if due != nil {
					start = due.next()
				}
				now := phase.Load()
				if now == phaseStop {
					return
				}
				res, err := cli.Echo(context.Background(), req)
				took := time.Since(start)
				if err == nil && len(res.Payload) != load.size {
					err = fmt.Errorf("got %d bytes, want %d", len(res.Payload), load.size)
				}
				if err != nil {
					errs[i] = err
					return
				}
				if now == phaseMeasure {
					lats[i] = append(lats[i], took)
				}
			}
		}()
	}
	use, took := measured(&phase, load.warmup, load.length)
	if due != nil {
		due.stop()
	}
	wg.Wait()

	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return benchResultOf(slices.Concat(lats...), use, took)
}

// measured leads through the phases and returns what the process used while measuring, and how long that was.
func measured(phase *atomic.Int32, warmup, length time.Duration) (usage, time.Duration) {
	time.Sleep(warmup)
	before := use()
	start := time.Now()
	phase.Store(phaseMeasure)
	time.Sleep(length)
	phase.Store(phaseStop)
	return use().since(before), time.Since(start)
}

func benchResultOf(all []time.Duration, use usage, took time.Duration) (*benchResult, error) {
	if len(all) == 0 {
		return nil, fmt.Errorf("no call finished in %v", took)
	}
	slices.Sort(all)
	n := float64(len(all))
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	perCall := func(d time.Duration) float64 { return math.Round(us(d)/n*1000) / 1000 }
	return &benchResult{
		Calls:      len(all),
		Seconds:    took.Seconds(),
		CPUUser:    perCall(use.user),
		CPUSys:     perCall(use.sys),
		P50:        us(all[len(all)/2]),
		P99:        us(all[len(all)*99/100]),
		P999:       us(all[len(all)*999/1000]),
		MaxLatency: us(all[len(all)-1]),
		Waits:      float64(use.waits) / n,
		RSSKB:      use.maxRSSKB,
	}, nil
}

// A schedule hands out times at which calls are due. Go's own timers may be a millisecond late, so a thread of
// its own sleeps with the system's.
type schedule struct {
	due     chan time.Time
	stopped chan struct{}
}

func startSchedule(callsPerSecond float64) *schedule {
	s := &schedule{make(chan time.Time, 1<<16), make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		preciseSleeps()
		begin := time.Now()
		defer close(s.due)
		for n := 0; ; n++ {
			at := begin.Add(time.Duration(float64(n) / callsPerSecond * 1e9))
			sleepUntil(at)
			select {
			case <-s.stopped:
				return
			default:
			}
			select {
			case s.due <- at:
			case <-s.stopped:
			}
		}
	}()
	return s
}

// next waits until a call is due and returns when that was.
func (s *schedule) next() time.Time { return <-s.due }

func (s *schedule) stop() { close(s.stopped) }

func duration(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
