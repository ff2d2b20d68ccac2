package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bytedance/gopkg/cloud/metainfo"
	"github.com/cloudwego/kitex/client"
	"github.com/cloudwego/kitex/pkg/kerrors"
	"github.com/cloudwego/kitex/pkg/remote/trans/ttstream"
	"github.com/cloudwego/kitex/pkg/rpcinfo"
	"github.com/cloudwego/kitex/pkg/streaming"

	"kitexpeer/kitex_gen/streams"
	streamsvc "kitexpeer/kitex_gen/streams/streams"
)

func streamClientMain(args []string) error {
	fs := flag.NewFlagSet("stream-client", flag.ExitOnError)
	addr := fs.String("addr", "", "server `address`")
	pool := fs.String("pool", "mux", "mux or long")
	names := fs.String("case", "all", "case `names`, comma separated")
	verbose := fs.Bool("v", false, "keep Kitex's own log")
	fs.Parse(args)
	quietKitex(*verbose)

	connections := ttstream.WithClientMuxConnPool(ttstream.MuxConnConfig{PoolSize: 1, MaxIdleTimeout: time.Minute})
	if *pool == "long" {
		connections = ttstream.WithClientLongConnPool(ttstream.LongConnConfig{MaxIdleTimeout: time.Minute})
	}
	kc, err := streamsvc.NewClient(serverName,
		client.WithHostPorts(*addr),
		client.WithClientBasicInfo(&rpcinfo.EndpointBasicInfo{ServiceName: clientName}),
		client.WithTTHeaderStreamingOptions(client.WithTTHeaderStreamingTransportOptions(connections)),
		client.WithStreamOptions(client.WithStreamRecvTimeoutConfig(streaming.TimeoutConfig{Timeout: 20 * time.Second})),
	)
	if err != nil {
		return err
	}
	passed, failed := 0, 0
	for _, c := range append(streamCases, helpedStreamCases...) {
		if *names == "all" && c.helped || *names != "all" && !strings.Contains(","+*names+",", ","+c.name+",") {
			continue
		}
		if err := runStreamCase(c, kc); err != nil {
			failed++
			fmt.Printf("FAIL %s: %s\n", c.name, strings.ReplaceAll(err.Error(), "\n", `\n`))
			continue
		}
		passed++
		fmt.Printf("ok %s\n", c.name)
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
	return nil
}

type streamCase struct {
	name   string
	run    func(ctx context.Context, kc streamsvc.Client) error
	helped bool // not part of all
}

func runStreamCase(c streamCase, kc streamsvc.Client) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return c.run(ctx, kc)
}

func text(s string) *streams.Item { return &streams.Item{Text: &s} }

var streamCases = []streamCase{
	{name: "bidi", run: func(ctx context.Context, kc streamsvc.Client) error { return exchange(ctx, kc, 10, 10) }},
	{name: "ten-thousand", run: func(ctx context.Context, kc streamsvc.Client) error { return exchange(ctx, kc, 10000, 100) }},
	{name: "large", run: func(ctx context.Context, kc streamsvc.Client) error { return exchange(ctx, kc, 10, 1<<20) }},
	{name: "upload", run: streamUpload},
	{name: "watch", run: streamWatch},
	{name: "together", run: streamTogether},
	{name: "biz", run: streamBiz},
	{name: "fail", run: func(ctx context.Context, kc streamsvc.Client) error {
		return endsWith(ctx, kc, text("fail"), "code=12001", "biz error: boom")
	}},
	{name: "panic", run: func(ctx context.Context, kc streamsvc.Client) error {
		return endsWith(ctx, kc, text("panic"), "code=12001", "panic: [happened in biz handler")
	}},
	{name: "return", run: streamReturn},
	{name: "enough", run: streamEnough},
	{name: "meta", run: streamMeta},
	{name: "header", run: streamHeader},
	{name: "cancel", run: streamCancel},
	{name: "deadline", run: streamDeadline},
	{name: "recv-timeout", run: streamRecvTimeout},
	{name: "recv-timeout-kept", run: streamRecvTimeoutKept},
}

func exchange(ctx context.Context, kc streamsvc.Client, count, size int) error {
	stream, err := kc.Bidi(ctx)
	if err != nil {
		return err
	}
	ctx = stream.Context()
	sent := make(chan error, 1)
	data := []byte(strings.Repeat("x", size))
	go func() {
		for n := 0; n < count; n++ {
			if err := stream.Send(ctx, &streams.Item{N: int64(n), Data: data}); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend(ctx)
	}()
	for n := 0; n < count; n++ {
		item, err := stream.Recv(ctx)
		if err != nil {
			return fmt.Errorf("message %d: %w", n, err)
		}
		if item.N != int64(n) || string(item.Data) != string(data) {
			return fmt.Errorf("message %d is another: %d, %d bytes", n, item.N, len(item.Data))
		}
	}
	if err := <-sent; err != nil {
		return err
	}
	return atEnd(ctx, stream)
}

// lastAnswer says something, wants this text as its answer, and nothing after it.
func lastAnswer(ctx context.Context, stream streamsvc.Streams_BidiClient, say, want string) error {
	if err := stream.Send(ctx, text(say)); err != nil {
		return err
	}
	item, err := stream.Recv(ctx)
	if err != nil {
		return err
	}
	if err := equal("text", item.GetText(), want); err != nil {
		return err
	}
	if err := stream.CloseSend(ctx); err != nil {
		return err
	}
	return atEnd(ctx, stream)
}

func atEnd(ctx context.Context, stream streamsvc.Streams_BidiClient) error {
	if _, err := stream.Recv(ctx); !errors.Is(err, io.EOF) {
		return fmt.Errorf("want the end, got %v", err)
	}
	return nil
}

func streamUpload(ctx context.Context, kc streamsvc.Client) error {
	stream, err := kc.Upload(ctx)
	if err != nil {
		return err
	}
	for n := 1; n <= 100; n++ {
		if err := stream.Send(ctx, &streams.Item{N: int64(n)}); err != nil {
			return err
		}
	}
	sum, err := stream.CloseAndRecv(ctx)
	if err != nil {
		return err
	}
	return equal("sum", sum.N, int64(5050))
}

func streamWatch(ctx context.Context, kc streamsvc.Client) error {
	stream, err := kc.Watch(ctx, &streams.Item{N: 100, Data: []byte("d")})
	if err != nil {
		return err
	}
	for n := int64(0); n < 100; n++ {
		item, err := stream.Recv(ctx)
		if err != nil {
			return err
		}
		if err := equal("number", item.N, n); err != nil {
			return err
		}
	}
	if _, err := stream.Recv(ctx); !errors.Is(err, io.EOF) {
		return fmt.Errorf("want the end, got %v", err)
	}
	return nil
}

// streamTogether has a thousand streams open at the same time: each waits for all others before its messages.
func streamTogether(ctx context.Context, kc streamsvc.Client) error {
	const count = 1000
	var opened, all sync.WaitGroup
	failed := make(chan error, count)
	opened.Add(count)
	for i := 0; i < count; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := oneOfMany(ctx, kc, &opened, int64(i)); err != nil {
				failed <- err
			}
		}()
	}
	all.Wait()
	close(failed)
	return <-failed
}

func oneOfMany(ctx context.Context, kc streamsvc.Client, opened *sync.WaitGroup, number int64) error {
	stream, err := kc.Bidi(ctx)
	// The handler is there once it has answered.
	if err == nil {
		err = echoed(ctx, stream, number)
	}
	opened.Done()
	if err != nil {
		return err
	}
	opened.Wait()
	for n := int64(0); n < 3; n++ {
		if err := echoed(ctx, stream, number+n); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(ctx); err != nil {
		return err
	}
	return atEnd(ctx, stream)
}

func echoed(ctx context.Context, stream streamsvc.Streams_BidiClient, number int64) error {
	if err := stream.Send(ctx, &streams.Item{N: number}); err != nil {
		return err
	}
	item, err := stream.Recv(ctx)
	if err != nil {
		return err
	}
	return equal("number", item.N, number)
}

// ends sends an item and returns what the stream ends with.
func ends(ctx context.Context, kc streamsvc.Client, item *streams.Item) error {
	stream, err := kc.Bidi(ctx)
	if err != nil {
		return err
	}
	// A message before, which must not be lost.
	if err := stream.Send(ctx, text("first")); err != nil {
		return err
	}
	if err := stream.Send(ctx, item); err != nil {
		return err
	}
	first, err := stream.Recv(ctx)
	// Kitex's client says the status with the message that was before it, which its own server provokes too.
	if err != nil {
		return err
	}
	if err := equal("first", first.GetText(), "first"); err != nil {
		return err
	}
	_, err = stream.Recv(ctx)
	return err
}

func endsWith(ctx context.Context, kc streamsvc.Client, item *streams.Item, parts ...string) error {
	err := ends(ctx, kc, item)
	for _, part := range parts {
		if !strings.Contains(fmt.Sprint(err), part) {
			return fmt.Errorf("want %q, got %v", part, err)
		}
	}
	return nil
}

func streamBiz(ctx context.Context, kc streamsvc.Client) error {
	err := ends(ctx, kc, text("biz"))
	status, ok := kerrors.FromBizStatusError(err)
	if !ok {
		return fmt.Errorf("want a business status, got %v", err)
	}
	if status.BizStatusCode() != 404 || status.BizMessage() != "not found" || status.BizExtra()["k"] != "v" {
		return fmt.Errorf("another status: %v", err)
	}
	return nil
}

func streamReturn(ctx context.Context, kc streamsvc.Client) error {
	if err := ends(ctx, kc, text("return")); !errors.Is(err, io.EOF) {
		return fmt.Errorf("want the end, got %v", err)
	}
	return nil
}

func streamMeta(ctx context.Context, kc streamsvc.Client) error {
	ctx = metainfo.WithPersistentValue(ctx, "K", "persistent")
	ctx = metainfo.WithValue(ctx, "K", "transient")
	stream, err := kc.Bidi(ctx)
	if err != nil {
		return err
	}
	return lastAnswer(ctx, stream, "meta K", "persistent,transient")
}

func streamHeader(ctx context.Context, kc streamsvc.Client) error {
	stream, err := kc.Bidi(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(ctx, text("header")); err != nil {
		return err
	}
	header, err := stream.Header()
	if err != nil {
		return err
	}
	if err := equal("header", header, streaming.Header{"set": "1", "sent": "2"}); err != nil {
		return err
	}
	if _, err := stream.Recv(ctx); err != nil {
		return err
	}
	if err := stream.CloseSend(ctx); err != nil {
		return err
	}
	if err := atEnd(ctx, stream); err != nil {
		return err
	}
	trailer, err := stream.Trailer()
	if err != nil {
		return err
	}
	return equal("trailer", trailer, streaming.Trailer{"end": "3"})
}
