package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudwego/kitex/client"
	"github.com/cloudwego/kitex/pkg/remote/trans/ttstream"
	"github.com/cloudwego/kitex/pkg/rpcinfo"
	"github.com/cloudwego/kitex/transport"

	"kitexpeer/kitex_gen/streams"
	streamsvc "kitexpeer/kitex_gen/streams/streams"
)

// benchStreamMain keeps streams busy. A call of its result is a message there and back (ping-pong), or a message
// that the server has received (one-way).
func benchStreamMain(args []string) error {
	fs := flag.NewFlagSet("bench-stream-client", flag.ExitOnError)
	addr := fs.String("addr", "", "server `address`")
	shape := fs.String("shape", "ping-pong", "ping-pong or one-way")
	protocol := fs.String("transport", "ttheader", "ttheader or grpc")
	count := fs.Int("streams", 100, "streams")
	connections := fs.Int("connections", 1, "connections that the streams share; 0: one for each stream")
	seconds := fs.Float64("seconds", 2, "measured time, after a warm-up")
	warmup := fs.Float64("warmup", 0.5, "seconds before that")
	size := fs.Int("size", 1024, "payload bytes of a message")
	fs.Parse(args)
	quietKitex(false)

	kc, err := benchStreamClient(*addr, *protocol, *connections)
	if err != nil {
		return err
	}
	load := benchLoad{callers: *count, size: *size, length: duration(*seconds), warmup: duration(*warmup)}
	var res *benchResult
	switch *shape {
	case "ping-pong":
		res, err = benchPingPong(kc, load)
	case "one-way":
		res, err = benchOneWay(kc, load)
	default:
		err = fmt.Errorf("-shape %q", *shape)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}

func benchStreamClient(addr, protocol string, connections int) (streamsvc.Client, error) {
	opts := []client.Option{
		client.WithHostPorts(addr),
		client.WithClientBasicInfo(&rpcinfo.EndpointBasicInfo{ServiceName: clientName}),
	}
	switch {
	case protocol == "grpc" && connections > 0:
		opts = append(opts, client.WithTransportProtocol(transport.GRPCStreaming),
			client.WithGRPCConnPoolSize(uint32(connections)))
	case protocol == "ttheader":
		pool := ttstream.WithClientMuxConnPool(ttstream.MuxConnConfig{PoolSize: connections, MaxIdleTimeout: time.Minute})
		if connections == 0 {
			pool = ttstream.WithClientLongConnPool(ttstream.LongConnConfig{MaxIdleTimeout: time.Minute})
		}
		opts = append(opts, client.WithTransportProtocol(transport.TTHeaderStreaming),
			client.WithTTHeaderStreamingOptions(client.WithTTHeaderStreamingTransportOptions(pool)))
	default:
		return nil, fmt.Errorf("-transport %q with %d connections", protocol, connections)
	}
	return streamsvc.NewClient(serverName, opts...)
}

func benchPingPong(kc streamsvc.Client, load benchLoad) (*benchResult, error) {
	return benchStreams(load, func(phase *atomic.Int32) ([]time.Duration, error) {
		stream, err := kc.Bidi(context.Background())
		if err != nil {
			return nil, err
		}
		ctx := stream.Context()
		item := &streams.Item{N: 1, Data: patternBytes(load.size)}
		var lats []time.Duration
		for {
			now := phase.Load()
			if now == phaseStop {
				return lats, stream.CloseSend(ctx)
			}
			start := time.Now()
			if err := stream.Send(ctx, item); err != nil {
				return nil, err
			}
			back, err := stream.Recv(ctx)
			if err == nil && len(back.Data) != load.size {
				err = fmt.Errorf("got %d bytes, want %d", len(back.Data), load.size)
			}
			if err != nil {
				return nil, err
			}
			if now == phaseMeasure {
				lats = append(lats, time.Since(start))
			}
		}
	})
}

// benchOneWay counts what the server has received when all is over, as what it has not yet is no work done. The
// time goes on until then.
func benchOneWay(kc streamsvc.Client, load benchLoad) (*benchResult, error) {
	var received atomic.Int64
	load.warmup = 0
	begin, before := time.Now(), use()
	_, err := benchStreams(load, func(phase *atomic.Int32) ([]time.Duration, error) {
		stream, err := kc.Sink(context.Background())
		if err != nil {
			return nil, err
		}
		ctx := stream.Context()
		item := &streams.Item{N: 1, Data: patternBytes(load.size)}
		for phase.Load() != phaseStop {
			if err := stream.Send(ctx, item); err != nil {
				return nil, err
			}
		}
		sum, err := stream.CloseAndRecv(ctx)
		if err != nil {
			return nil, err
		}
		received.Add(sum.N)
		return []time.Duration{0}, nil
	})
	if err != nil {
		return nil, err
	}
	// There is no latency of a message that nobody answers.
	took, used, n := time.Since(begin), use().since(before), received.Load()
	perCall := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(n) }
	return &benchResult{
		Calls: int(n), Seconds: took.Seconds(), CPUUser: perCall(used.user), CPUSys: perCall(used.sys),
		Waits: float64(used.waits) / float64(n), RSSKB: used.maxRSSKB,
	}, nil
}

// benchStreams runs a goroutine for each stream through the phases.
func benchStreams(load benchLoad, run func(*atomic.Int32) ([]time.Duration, error)) (*benchResult, error) {
	var phase atomic.Int32
	lats := make([][]time.Duration, load.callers)
	errs := make([]error, load.callers)
	var wg sync.WaitGroup
	for i := range lats {
		wg.Add(1)
		go func() {
			defer wg.Done()
			lats[i], errs[i] = run(&phase)
		}()
	}
	used, took := measured(&phase, load.warmup, load.length)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return benchResultOf(slices.Concat(lats...), used, took)
}
