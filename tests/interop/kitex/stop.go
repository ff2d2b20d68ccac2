package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cloudwego/kitex/client/callopt"
	"github.com/cloudwego/kitex/pkg/kerrors"

	"kitexpeer/kitex_gen/interop"
	interopsvc "kitexpeer/kitex_gen/interop/interop"
)

// The cases here end the server, with the help of the harness.

// startSleep calls Sleep and says CALLING once the call is under way.
func startSleep(ctx context.Context, r *run, sleep time.Duration) (<-chan error, error) {
	if err := r.alive(ctx); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() {
		_, err := r.client.Sleep(ctx, int32(sleep.Milliseconds()), callopt.WithRPCTimeout(3*sleep))
		done <- err
	}()
	select {
	case err := <-done:
		return nil, fmt.Errorf("the call ended at once: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	fmt.Println("CALLING")
	return done, nil
}

// wantConnectionError checks that err tells of a lost or refused connection.
func wantConnectionError(err error) error {
	switch {
	case err == nil:
		return errors.New("got success, want a connection error")
	case errors.Is(err, kerrors.ErrRPCTimeout):
		return fmt.Errorf("a timeout instead of a connection error: %w", err)
	case !errors.Is(err, kerrors.ErrRemoteOrNetwork):
		return fmt.Errorf("not a connection error: %w", err)
	case strings.Contains(err.Error(), "[remote]"):
		return fmt.Errorf("an answer instead of a connection error: %w", err)
	}
	return nil
}

// caseKilled expects a running call to end with a connection error when the
// harness kills the server.
func caseKilled(ctx context.Context, r *run) error {
	const sleep = 10 * time.Second
	start := time.Now()
	done, err := startSleep(ctx, r, sleep)
	if err != nil {
		return err
	}
	if err := wantConnectionError(<-done); err != nil {
		return err
	}
	if took := time.Since(start); took >= sleep {
		return fmt.Errorf("the error took %v", took)
	}
	return nil
}

// caseDrain expects a running call to be answered when the harness stops the
// server gracefully, and the server to be gone soon after.
func caseDrain(ctx context.Context, r *run) error {
	const sleep, gone = 2 * time.Second, 5 * time.Second
	done, err := startSleep(ctx, r, sleep)
	if err != nil {
		return err
	}
	if err := <-done; err != nil {
		return fmt.Errorf("the running call: %w", err)
	}
	for end := time.Now().Add(gone); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		_, err := r.client.Add(ctx, 1, 2)
		if errors.Is(err, kerrors.ErrGetConnection) {
			return nil
		}
		// Until then calls may still be answered or lose their connection.
		if err != nil {
			if err := wantConnectionError(err); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("the server still takes connections %v after the call ended", gone)
}

// A pusher calls without a pause until the server takes no more connections.
type pusher struct {
	answered, lost int
	refused        bool
	err            error // any other failure, else the first lost call
}

func (p *pusher) push(ctx context.Context, cli interopsvc.Client, number int, end time.Time) {
	for !p.refused && time.Now().Before(end) {
		req := &interop.Req{Message: fmt.Sprintf("%d.%d", number, p.answered)}
		res, err := cli.Echo(ctx, req)
		switch {
		case err == nil:
			if err := equal("reply", res.Message, req.Message); err != nil {
				p.err = err
				return
			}
			p.answered++
		case errors.Is(err, kerrors.ErrGetConnection):
			p.refused = true
		case wantConnectionError(err) == nil:
			if p.lost++; p.err == nil {
				p.err = err
			}
		default:
			p.err = wantConnectionError(err)
			return
		}
	}
}

// caseLoad stops the server while many callers are busy. With TTHeader the
// server tells when it is about to go, so no call may be lost. Without, and on
// multiplexed connections, where this client panics when it is told, it can only
// close the connection, which may meet a request on its way.
func caseLoad(ctx context.Context, r *run) error {
	d := r.dialer
	d.maxIdle = r.callers
	cli, err := d.interop()
	if err != nil {
		return err
	}
	pushers := make([]pusher, r.callers)
	end := time.Now().Add(15 * time.Second)
	var wg sync.WaitGroup
	for i := range pushers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			pushers[i].push(ctx, cli, i, end)
		}()
	}
	time.Sleep(300 * time.Millisecond)
	fmt.Println("CALLING")
	wg.Wait()

	var answered, lost, refused int
	for _, p := range pushers {
		answered += p.answered
		lost += p.lost
		if p.refused {
			refused++
		}
		if p.err != nil {
			err = p.err
		}
	}
	fmt.Printf("load: %d answered, %d lost, %d of %d callers refused in the end\n", answered, lost, refused, r.callers)
	if refused != r.callers || answered < r.callers || lost > r.callers || r.wire.hasHeader() && r.wire != wireMux && lost > 0 {
		return fmt.Errorf("%d answered, %d lost, %d of %d callers refused; %v", answered, lost, refused, r.callers, err)
	}
	return nil
}
