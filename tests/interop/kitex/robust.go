package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudwego/kitex/client/callopt"
	"github.com/cloudwego/kitex/pkg/discovery"
	"github.com/cloudwego/kitex/pkg/kerrors"
	"github.com/cloudwego/kitex/pkg/rpcinfo"

	"kitexpeer/kitex_gen/interop"
	interopsvc "kitexpeer/kitex_gen/interop/interop"
)

// What a client lives through: servers that stand still, that are replaced, and
// messages that are too large.

var harness = bufio.NewReader(os.Stdin)

// ask prints a word and waits until the harness has done what it stands for.
func ask(word string) error {
	fmt.Println(word)
	if _, err := harness.ReadString('\n'); err != nil {
		return fmt.Errorf("nobody did %s: %w", word, err)
	}
	return nil
}

// caseFrozen has the server stopped by SIGSTOP: calls end by their timeouts, and
// once it goes on the client is as before.
func caseFrozen(ctx context.Context, r *run) error {
	const limit = 200 * time.Millisecond
	if err := r.alive(ctx); err != nil {
		return err
	}
	if err := ask("FREEZE"); err != nil {
		return err
	}
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 0; n < 3 && errs[i] == nil; n++ {
				start := time.Now()
				_, err := r.client.Add(ctx, 1, 2, callopt.WithRPCTimeout(limit))
				if took := time.Since(start); !errors.Is(err, kerrors.ErrRPCTimeout) || took > 10*limit {
					errs[i] = fmt.Errorf("got %v after %v, want an RPC timeout after %v", err, took, limit)
				}
			}
		}()
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := ask("THAW"); err != nil {
		return err
	}
	for n := 0; n < 20; n++ {
		if err := r.alive(ctx); err != nil {
			return fmt.Errorf("call %d after it went on: %w", n, err)
		}
	}
	return nil
}

// caseLimit sends what the server refuses, and asks for what this client does.
func caseLimit(ctx context.Context, r *run) error {
	const size = 64 << 20
	_, err := r.client.Echo(ctx, &interop.Req{Message: "large", Payload: make([]byte, size)})
	if err == nil || errors.Is(err, kerrors.ErrRPCTimeout) || strings.Contains(err.Error(), "[remote]") {
		return fmt.Errorf("request: got %v, want a connection error", err)
	}
	if err := r.alive(ctx); err != nil {
		return fmt.Errorf("after the request: %w", err)
	}
	if r.maxSize == 0 {
		return nil
	}
	_, err = r.client.Big(ctx, int32(2*r.maxSize))
	if err == nil || !strings.Contains(err.Error(), "larger than the limit") {
		return fmt.Errorf("reply: got %v, want it to be larger than the limit", err)
	}
	return r.alive(ctx)
}

// caseTold checks that the server sees the timeout of a call.
func caseTold(ctx context.Context, r *run) error {
	seen, err := r.client.Meta(ctx, map[string]string{tellTimeout: "1"}, callopt.WithRPCTimeout(4321*time.Millisecond))
	if err != nil {
		return err
	}
	ms, err := strconv.Atoi(seen[tellTimeout])
	if !r.wire.hasHeader() {
		return equal("timeout", seen[tellTimeout], "0")
	}
	if err != nil || ms > 4321 || ms < 4000 {
		return fmt.Errorf("the server was told %q ms, want about 4321", seen[tellTimeout])
	}
	return nil
}

// caseCancel ends a call by its context.
func caseCancel(ctx context.Context, r *run) error {
	ctx, cancel := context.WithCancel(ctx)
	time.AfterFunc(100*time.Millisecond, cancel)
	start := time.Now()
	_, err := r.client.Sleep(ctx, 2000)
	if took := time.Since(start); err == nil || took > time.Second {
		return fmt.Errorf("got %v after %v, want an error at once", err, took)
	}
	return r.alive(context.Background())
}

// A registry knows the servers of -addr, but for one that is about to stop.
// Kitex's client needs one: of two fixed addresses it tries one six times by
// chance, and may not find the one that is left.
type registry struct {
	all    []string
	absent atomic.Pointer[string]
}

// Target names what is resolved, which Kitex keeps for some seconds: another
// name for each state of the registry, so that calls see it at once.
func (g *registry) Target(ctx context.Context, target rpcinfo.EndpointInfo) string {
	if absent := g.absent.Load(); absent != nil {
		return *absent
	}
	return "all"
}

func (g *registry) Name() string { return "registry" }

func (g *registry) Diff(key string, prev, next discovery.Result) (discovery.Change, bool) {
	return discovery.DefaultDiff(key, prev, next)
}

// Resolve returns all servers but the one that key names.
func (g *registry) Resolve(ctx context.Context, key string) (discovery.Result, error) {
	var found []discovery.Instance
	for _, addr := range g.all {
		if key != addr {
			found = append(found, discovery.NewInstance("tcp", addr, discovery.DefaultWeight, nil))
		}
	}
	return discovery.Result{Cacheable: true, CacheKey: key, Instances: found}, nil
}

// caseRoll has the servers of -addr replaced one after the other while callers
// call without a pause; no call may be lost. A line on stdin that has an address
// takes that one out of the registry, one without puts all back. After each of
// them all callers have to be answered.
func caseRoll(ctx context.Context, r *run) error {
	servers := &registry{all: strings.Split(r.addr, ",")}
	d := r.dialer
	d.maxIdle, d.registry = r.callers, servers
	cli, err := d.interop()
	if err != nil {
		return err
	}
	answered := make([]atomic.Int64, r.callers)
	var over atomic.Bool
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for i := range answered {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for !over.Load() && failed.Load() == nil {
				if err := rollOnce(ctx, cli, i, answered[i].Load()); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				answered[i].Add(1)
			}
		}()
	}
	fmt.Println("CALLING")
	for {
		line, err := harness.ReadString('\n')
		word, addr, isStopping := strings.Cut(strings.TrimSpace(line), " ")
		if err != nil || word == "over" {
			break
		}
		servers.absent.Store(nil)
		if isStopping {
			servers.absent.Store(&addr)
		}
		for i := range answered {
			for before := answered[i].Load(); answered[i].Load() == before && failed.Load() == nil; {
				time.Sleep(time.Millisecond)
			}
		}
		fmt.Printf("%s answered\n", word)
	}
	over.Store(true)
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	var all int64
	for i := range answered {
		all += answered[i].Load()
	}
	fmt.Printf("roll: %d calls of %d callers\n", all, r.callers)
	return nil
}

func rollOnce(ctx context.Context, cli interopsvc.Client, caller int, n int64) error {
	req := &interop.Req{Message: fmt.Sprintf("%d.%d", caller, n)}
	res, err := cli.Echo(ctx, req)
	if err != nil {
		return fmt.Errorf("%s was lost: %w", req.Message, err)
	}
	return equal("reply", res.Message, req.Message)
}
