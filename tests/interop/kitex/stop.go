package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cloudwego/kitex/client/callopt"
	"github.com/cloudwego/kitex/pkg/kerrors"
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
