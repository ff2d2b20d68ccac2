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
	verbose := fs.Bool("v", false, "keep Kitex's own log")
	fs.Parse(args)
	quietKitex(*verbose)

	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	addr := ln.Addr().String()
	svr := server.NewServer(
		server.WithListener(ln),
		server.WithServerBasicInfo(&rpcinfo.EndpointBasicInfo{ServiceName: serverName}),
	)
	handler := new(streamsHandler)
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
	mu sync.Mutex
	// Messages of the streams that have ended.
	received atomic.Int64
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
			h.mu.Lock()
			h.last = fmt.Sprint(ctx.Err())
			h.mu.Unlock()
			return ctx.Err()
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
