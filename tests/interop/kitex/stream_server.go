package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bytedance/gopkg/cloud/metainfo"
	"github.com/cloudwego/kitex/client"
	"github.com/cloudwego/kitex/pkg/kerrors"
	"github.com/cloudwego/kitex/pkg/rpcinfo"
	"github.com/cloudwego/kitex/pkg/streaming"
	"github.com/cloudwego/kitex/server"

	"kitexpeer/kitex_gen/streams"
	streamsvc "kitexpeer/kitex_gen/streams/streams"
)

func streamServerMain(args []string) error {
	fs := flag.NewFlagSet("stream-server", flag.ExitOnError)
	listen := fs.String("listen", "127.0.0.1:0", "TCP `address` to listen on")
	stats := fs.Bool("stats", false, "print CPU use and message count to stderr on exit, as one JSON line")
	name := fs.String("name", serverName, "the server's `name`, and that of its client")
	next := fs.String("next", "", "server `address` to which relay opens streams")
	exitWait := fs.Duration("exit-wait", 0, "how long a graceful stop waits for streams (0: Kitex's default)")
	verbose := fs.Bool("v", false, "keep Kitex's own log")
	fs.Parse(args)
	quietKitex(*verbose)

	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	addr := ln.Addr().String()
	opts := []server.Option{
		server.WithListener(ln),
		server.WithServerBasicInfo(&rpcinfo.EndpointBasicInfo{ServiceName: *name}),
	}
	if *exitWait > 0 {
		opts = append(opts, server.WithExitWaitTime(*exitWait))
	}
	handler := new(streamsHandler)
	if *next != "" {
		handler.next, err = streamsvc.NewClient(serverName,
			client.WithHostPorts(*next),
			client.WithClientBasicInfo(&rpcinfo.EndpointBasicInfo{ServiceName: *name}),
		)
		if err != nil {
			return err
		}
	}
	svr := server.NewServer(opts...)
	if err := streamsvc.RegisterService(svr, handler); err != nil {
		return err
	}
	server.RegisterStartHook(func() { fmt.Printf("LISTENING %s\n", addr) })
	start := time.Now()
	err = svr.Run()
	if *stats {
		printUse(handler.received.Load(), time.Since(start))
	}
	return err
}

// A streamsHandler does what the texts of messages say; anything else is echoed.
type streamsHandler struct {
	next streamsvc.Client
	// Messages of the streams that have ended.
	received atomic.Int64
	mu       sync.Mutex
	// How the context of the last stream ended that was told to wait.
	last string
}

func (h *streamsHandler) Bidi(ctx context.Context, stream streams.Streams_BidiServer) error {
	count := int64(0)
	defer func() { h.received.Add(count) }()
	for ; ; count++ {
		item, err := stream.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		word, rest, _ := strings.Cut(item.GetText(), " ")
		switch word {
		case "biz":
			return kerrors.NewBizStatusErrorWithExtra(404, "not found", map[string]string{"k": "v"})
		case "fail":
			return errors.New("boom")
		case "panic":
			panic("oh no")
		case "return":
			return nil
		case "wait":
			// Says that it waits, so that the client knows when to go.
			if err := stream.Send(ctx, item); err != nil {
				return err
			}
			<-ctx.Done()
			h.ended(ctx.Err())
			return ctx.Err()
		case "relay":
			return h.relay(ctx, stream, rest)
		case "silent":
			continue
		case "meta":
			persistent, _ := metainfo.GetPersistentValue(ctx, rest)
			transient, _ := metainfo.GetValue(ctx, rest)
			text := persistent + "," + transient
			item.Text = &text
		case "header":
			stream.SetHeader(streaming.Header{"set": "1"})
			if err := stream.SendHeader(streaming.Header{"sent": "2"}); err != nil {
				return err
			}
			stream.SetTrailer(streaming.Trailer{"end": "3"})
		}
		if err := stream.Send(ctx, item); err != nil {
			return err
		}
	}
}

func (h *streamsHandler) ended(err error) {
	h.mu.Lock()
	h.last = fmt.Sprint(err)
	h.mu.Unlock()
}

// relay opens a stream to the next server in the frame of its own, and waits for its end.
func (h *streamsHandler) relay(ctx context.Context, stream streams.Streams_BidiServer, word string) error {
	below, err := told(ctx, h.next, word)
	if err != nil {
		return err
	}
	if err := stream.Send(ctx, text(word)); err != nil {
		return err
	}
	_, err = below.Recv(ctx)
	h.ended(err)
	return err
}

func (h *streamsHandler) Upload(ctx context.Context, stream streams.Streams_UploadServer) error {
	sum := new(streams.Item)
	for {
		item, err := stream.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(ctx, sum)
		}
		if err != nil {
			return err
		}
		sum.N += item.N
		if item.GetText() == "enough" {
			return stream.SendAndClose(ctx, sum)
		}
		sum.Data = append(sum.Data, item.Data...)
	}
}

func (h *streamsHandler) Sink(ctx context.Context, stream streams.Streams_SinkServer) error {
	sum := new(streams.Item)
	defer func() { h.received.Add(sum.N) }()
	for ; ; sum.N++ {
		_, err := stream.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(ctx, sum)
		}
		if err != nil {
			return err
		}
	}
}

func (h *streamsHandler) Watch(ctx context.Context, item *streams.Item, stream streams.Streams_WatchServer) error {
	if item.GetText() == "received" {
		return stream.Send(ctx, &streams.Item{N: h.received.Load()})
	}
	if item.GetText() == "last" {
		h.mu.Lock()
		text := h.last
		h.last = ""
		h.mu.Unlock()
		return stream.Send(ctx, &streams.Item{Text: &text})
	}
	for n := int64(0); n < item.N; n++ {
		if err := stream.Send(ctx, &streams.Item{N: n, Data: item.Data}); err != nil {
			return err
		}
	}
	return nil
}
