package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bytedance/gopkg/cloud/metainfo"
	"github.com/cloudwego/kitex/client/callopt/streamcall"
	"github.com/cloudwego/kitex/pkg/streaming"

	"kitexpeer/kitex_gen/streams"
	streamsvc "kitexpeer/kitex_gen/streams/streams"
)

// How streams end before their time. A case that is helped prints WAITING when the harness should act.
var helpedStreamCases = []streamCase{
	{name: "goodbye", run: streamGoodbye, helped: true},
	{name: "outlive", run: streamOutlive, helped: true},
	{name: "lost", run: streamLost, helped: true},
	{name: "chain", run: streamChain, helped: true},
	{name: "hooked", run: streamHooked, helped: true},
}

// lastEnd asks the server how the stream ended that was told to wait, which it knows a little later.
func lastEnd(ctx context.Context, kc streamsvc.Client) (string, error) {
	for {
		stream, err := kc.Watch(ctx, text("last"))
		if err != nil {
			return "", err
		}
		item, err := stream.Recv(ctx)
		if err != nil {
			return "", err
		}
		if _, err := stream.Recv(ctx); !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("want the end, got %v", err)
		}
		if item.GetText() != "" {
			return item.GetText(), nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// told opens a stream, says a word, and returns once the handler has answered it.
func told(ctx context.Context, kc streamsvc.Client, word string, options ...streamcall.Option) (streamsvc.Streams_BidiClient, error) {
	stream, err := kc.Bidi(ctx, options...)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(ctx, text(word)); err != nil {
		return nil, err
	}
	_, err = stream.Recv(ctx)
	return stream, err
}

func has(what string, said any, parts ...string) error {
	for _, part := range parts {
		if !strings.Contains(fmt.Sprint(said), part) {
			return fmt.Errorf("%s: want %q, got %q", what, part, fmt.Sprint(said))
		}
	}
	return nil
}

func serverSaw(ctx context.Context, kc streamsvc.Client, parts ...string) error {
	said, err := lastEnd(ctx, kc)
	if err != nil {
		return err
	}
	return has("the server saw", said, parts...)
}

func streamCancel(ctx context.Context, kc streamsvc.Client) error {
	return cancelled(ctx, kc, "wait")
}

// cancelled opens a stream whose handler does as told, cancels, and asks what the server saw.
func cancelled(ctx context.Context, kc streamsvc.Client, what string) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := told(inner, kc, what)
	if err != nil {
		return err
	}
	cancel()
	_, err = stream.Recv(inner)
	if err := has("recv", err, "code=12007"); err != nil {
		return err
	}
	return serverSaw(ctx, kc, "code=12007", "[canceled path: "+clientName+"]", "invoking cancel() actively")
}

func streamDeadline(ctx context.Context, kc streamsvc.Client) error {
	inner, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	stream, err := told(inner, kc, "wait")
	if err != nil {
		return err
	}
	_, err = stream.Recv(inner)
	if err := has("recv", err, "code=12015"); err != nil {
		return err
	}
	return serverSaw(ctx, kc, "code=12015", "stream timeout", "[canceled path: "+clientName+"]")
}

func recvTimeout(keep bool) streamcall.Option {
	return streamcall.WithRecvTimeoutConfig(streaming.TimeoutConfig{Timeout: 100 * time.Millisecond, DisableCancelRemote: keep})
}

func streamRecvTimeout(ctx context.Context, kc streamsvc.Client) error {
	stream, err := told(ctx, kc, "wait", recvTimeout(false))
	if err != nil {
		return err
	}
	for i := 0; i < 2; i++ {
		_, err = stream.Recv(ctx)
		if err := has("recv", err, "code=12014"); err != nil {
			return err
		}
	}
	return serverSaw(ctx, kc, "code=12014", "stream Recv timeout", "[canceled path: "+clientName+"]")
}

// streamRecvTimeoutKept has a Recv fail and the stream go on.
func streamRecvTimeoutKept(ctx context.Context, kc streamsvc.Client) error {
	stream, err := told(ctx, kc, "first", recvTimeout(true))
	if err != nil {
		return err
	}
	if err := stream.Send(ctx, text("silent")); err != nil {
		return err
	}
	for i := 0; i < 2; i++ {
		_, err = stream.Recv(ctx)
		if err := has("recv", err, "code=12014"); err != nil {
			return err
		}
	}
	return lastAnswer(ctx, stream, "loud", "loud")
}

// streamEnough goes on sending while the handler has answered and left.
func streamEnough(ctx context.Context, kc streamsvc.Client) error {
	stream, err := kc.Upload(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(ctx, &streams.Item{N: 7, Text: text("enough").Text}); err != nil {
		return err
	}
	for err == nil {
		err = stream.Send(ctx, &streams.Item{N: 1, Data: make([]byte, 1000)})
	}
	if err := has("send", err, "code=12005"); err != nil {
		return err
	}
	item, err := stream.CloseAndRecv(ctx)
	if err != nil {
		return err
	}
	return equal("sum", item.N, int64(7))
}

// streamGoodbye expects what the handler says when its server is stopped, and then the end.
func streamGoodbye(ctx context.Context, kc streamsvc.Client) error {
	stream, err := told(ctx, kc, "stop")
	if err != nil {
		return err
	}
	fmt.Println("WAITING")
	item, err := stream.Recv(ctx)
	if err != nil {
		return err
	}
	if err := equal("last word", item.GetText(), "goodbye"); err != nil {
		return err
	}
	return atEnd(ctx, stream)
}

// streamOutlive expects to be told that the server has stopped before the stream ended.
func streamOutlive(ctx context.Context, kc streamsvc.Client) error {
	stream, err := told(ctx, kc, "wait")
	if err != nil {
		return err
	}
	fmt.Println("WAITING")
	_, err = stream.Recv(ctx)
	return has("recv", err, "code=12001", "the server has stopped")
}

// streamLost expects an error, and never the end of messages, when the connection goes.
func streamLost(ctx context.Context, kc streamsvc.Client) error {
	stream, err := told(ctx, kc, "wait")
	if err != nil {
		return err
	}
	fmt.Println("WAITING")
	_, err = stream.Recv(ctx)
	if errors.Is(err, io.EOF) || !strings.Contains(fmt.Sprint(err), "code=1200") {
		return fmt.Errorf("want a lost connection, got %v", err)
	}
	return nil
}

// streamHooked has its messages and pairs changed by the server's interceptors, and one of its streams refused.
func streamHooked(ctx context.Context, kc streamsvc.Client) error {
	stream, err := kc.Bidi(ctx)
	if err != nil {
		return err
	}
	for _, words := range [][2]string{{"plain", "replaced!"}, {"other", "other!"}, {"plain", "replaced!"}} {
		if err := stream.Send(ctx, text(words[0])); err != nil {
			return err
		}
		item, err := stream.Recv(ctx)
		if err != nil {
			return err
		}
		if err := equal("text", item.GetText(), words[1]); err != nil {
			return err
		}
	}
	header, err := stream.Header()
	if err != nil {
		return err
	}
	if err := equal("header", header, streaming.Header{"opened": "1"}); err != nil {
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
	if err := equal("trailer", trailer, streaming.Trailer{"finished": "1"}); err != nil {
		return err
	}
	refused, err := kc.Bidi(metainfo.WithValue(ctx, "refuse", "1"))
	if err != nil {
		return err
	}
	_, err = refused.Recv(ctx)
	return has("recv", err, "code=12001", "not this one")
}

// streamChain is the head of a chain: it opens a stream whose handler opens another, and cancels. The harness
// asks the last server what it saw.
func streamChain(ctx context.Context, kc streamsvc.Client) error {
	return cancelled(ctx, kc, "relay wait")
}
