package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kitexpeer/kitex_gen/interop"
)

// benchWarmup opens the connections and lets pools and scheduler settle; it is
// not measured.
const benchWarmup = 500 * time.Millisecond

type benchResult struct {
	Calls      int     `json:"calls"`
	Seconds    float64 `json:"seconds"`
	CPUUser    float64 `json:"cpu_user_us_per_call"`
	CPUSys     float64 `json:"cpu_sys_us_per_call"`
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	MaxLatency float64 `json:"max_us"`
}

func benchMain(args []string) error {
	fs := flag.NewFlagSet("bench-client", flag.ExitOnError)
	addr := fs.String("addr", "", "server `address`")
	wireName := fs.String("transport", string(wireTTHeaderFramed), "framed, buffered, ttheader, ttheader-framed or mux")
	callers := fs.Int("c", 1, "concurrent callers, one connection each")
	seconds := fs.Float64("seconds", 5, "measured time, after a warm-up")
	size := fs.Int("size", 1024, "payload bytes in each direction")
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
	res, err := bench(d, *callers, *size, time.Duration(*seconds*float64(time.Second)))
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

func bench(d dialer, callers, size int, length time.Duration) (*benchResult, error) {
	cli, err := d.interop()
	if err != nil {
		return nil, err
	}
	var phase atomic.Int32
	lats := make([][]time.Duration, callers)
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range lats {
		wg.Add(1)
		go func() {
			defer wg.Done()
			req := &interop.Req{Message: "bench", Payload: patternBytes(size)}
			for {
				now := phase.Load()
				if now == phaseStop {
					return
				}
				start := time.Now()
				res, err := cli.Echo(context.Background(), req)
				took := time.Since(start)
				if err == nil && len(res.Payload) != size {
					err = fmt.Errorf("got %d bytes, want %d", len(res.Payload), size)
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

	time.Sleep(benchWarmup)
	user0, sys0, _ := cpuUse()
	start := time.Now()
	phase.Store(phaseMeasure)
	time.Sleep(length)
	phase.Store(phaseStop)
	user1, sys1, _ := cpuUse()
	took := time.Since(start)
	wg.Wait()

	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	all := slices.Concat(lats...)
	if len(all) == 0 {
		return nil, fmt.Errorf("no call finished in %v", length)
	}
	slices.Sort(all)
	n := float64(len(all))
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	perCall := func(d time.Duration) float64 { return math.Round(us(d)/n*100) / 100 }
	return &benchResult{
		Calls:      len(all),
		Seconds:    took.Seconds(),
		CPUUser:    perCall(user1 - user0),
		CPUSys:     perCall(sys1 - sys0),
		P50:        us(all[len(all)/2]),
		P99:        us(all[len(all)*99/100]),
		MaxLatency: us(all[len(all)-1]),
	}, nil
}
