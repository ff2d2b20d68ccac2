package main

import (
	"context"
	"fmt"
	"sync"

	"kitexpeer/kitex_gen/interop"
	interopsvc "kitexpeer/kitex_gen/interop/interop"
)

// caseCallers runs r.callers goroutines with r.calls calls each over pooled
// connections. Every question is unique, so a reply that went to the wrong
// caller shows.
func caseCallers(ctx context.Context, r *run) error {
	d := r.dialer
	d.maxIdle = r.callers
	cli, err := d.interop()
	if err != nil {
		return err
	}
	errs := make([]error, r.callers)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[i] = call(ctx, cli, i, r.calls)
		}()
	}
	wg.Wait()

	failed := 0
	for _, e := range errs {
		if e != nil {
			if failed == 0 {
				err = e
			}
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d callers failed, first: %w", failed, r.callers, err)
	}
	return nil
}

func call(ctx context.Context, cli interopsvc.Client, caller, calls int) error {
	for n := 0; n < calls; n++ {
		// Sizes vary, so that replies of different callers differ in length too.
		req := &interop.Req{
			Message: fmt.Sprintf("caller %d call %d", caller, n),
			Payload: patternBytes((caller*31 + n*97) % 3000),
		}
		res, err := cli.Echo(ctx, req)
		if err != nil {
			return fmt.Errorf("%s: %w", req.Message, err)
		}
		if err := equal(req.Message, *res, interop.Res{Message: req.Message, Payload: req.Payload}); err != nil {
			return err
		}
		sum, err := cli.Add(ctx, int64(caller)<<32, int64(n))
		if err != nil {
			return fmt.Errorf("%s, add: %w", req.Message, err)
		}
		if err := equal(req.Message+", add", sum, int64(caller)<<32+int64(n)); err != nil {
			return err
		}
	}
	return nil
}
