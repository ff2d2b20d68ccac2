package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bytedance/gopkg/cloud/metainfo"

	"kitexpeer/kitex_gen/interop"
)

// Thrift message types.
const (
	msgCall      = 1
	msgReply     = 2
	msgException = 3
	msgOneway    = 4
)

// A recording is one call whose bytes are kept.
type recording struct {
	name           string
	request, reply int // message types; reply 0: none
	wires          []wire
	call           func(ctx context.Context, r *run)
}

var (
	headerWires = []wire{wireTTHeader, wireTTHeaderFramed}
	framedWires = []wire{wireFramed, wireTTHeaderFramed}
	fullestWire = []wire{wireTTHeaderFramed}
)

// The set is kept small: what differs from wire to wire is recorded on each,
// the rest once on the fullest. Calls ignore their results; what has to hold is
// checked on the bytes.
var recordings = []recording{
	{"echo", msgCall, msgReply, allWires, func(ctx context.Context, r *run) {
		r.client.Echo(ctx, &interop.Req{Message: "hi", Payload: []byte{0, 0x7f, 0x80, 0xff}})
	}},
	{"types", msgCall, msgReply, []wire{wireFramed}, func(ctx context.Context, r *run) {
		r.client.EchoTypes(ctx, fullTypes())
	}},
	{"void", msgCall, msgReply, []wire{wireBuffered, wireTTHeaderFramed}, func(ctx context.Context, r *run) {
		r.client.Void(ctx, "nothing")
	}},
	{"oneway", msgOneway, 0, framedWires, func(ctx context.Context, r *run) {
		r.client.Fire(ctx, "shot")
	}},
	{"add", msgCall, msgReply, []wire{wireBuffered}, func(ctx context.Context, r *run) {
		r.client.Add(ctx, 1<<40, -2)
	}},
	{"declared", msgCall, msgReply, allWires, failCall("declared")},
	{"biz", msgCall, msgReply, allWires, failCall("biz")},
	{"error", msgCall, msgException, allWires, failCall("error")},
	{"trans", msgCall, msgException, fullestWire, failCall("trans")},
	{"panic", msgCall, msgException, fullestWire, failCall("panic")},
	{"unknown-method", msgCall, msgException, []wire{wireFramed, wireTTHeader, wireTTHeaderFramed}, func(ctx context.Context, r *run) {
		r.missing(ctx, "x")
	}},
	{"unknown-service", msgCall, msgException, fullestWire, func(ctx context.Context, r *run) {
		r.unknown.Missing(ctx, "x")
	}},
	{"metainfo", msgCall, msgReply, headerWires, func(ctx context.Context, r *run) {
		ctx = metainfo.WithValue(ctx, "TRACE", "t-1")
		ctx = metainfo.WithPersistentValue(ctx, "USER_ID", "u-1")
		r.client.Meta(ctx, map[string]string{"BACK": "b-1"})
	}},
}

func failCall(how string) func(ctx context.Context, r *run) {
	return func(ctx context.Context, r *run) { r.client.Fail(ctx, how) }
}

func recordMain(args []string) error {
	fs := flag.NewFlagSet("record", flag.ExitOnError)
	out := fs.String("out", "", "`directory` to write to")
	verbose := fs.Bool("v", false, "keep Kitex's own log")
	fs.Parse(args)
	quietKitex(*verbose)
	if *out == "" {
		return fmt.Errorf("-out is missing")
	}

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := ln.Addr().String()
	svr, err := newServer(ln)
	if err != nil {
		return err
	}
	go svr.Run()
	defer svr.Stop()

	index := []string{"transport\tcase\tseq\trequest_bytes\treply\treply_bytes\tserver_then"}
	for _, w := range allWires {
		dir := filepath.Join(*out, string(w))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		for _, rec := range recordings {
			if !slices.Contains(rec.wires, w) {
				continue
			}
			line, err := rec.record(addr, w, dir)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", w, rec.name, err)
			}
			index = append(index, line)
		}
	}
	return os.WriteFile(filepath.Join(*out, "index.tsv"), []byte(strings.Join(index, "\n")+"\n"), 0o666)
}

// record makes the call on a connection of its own, checks what went over it,
// writes the files, and returns the line for the index.
func (rec recording) record(addr string, w wire, dir string) (string, error) {
	t, err := newTap(addr)
	if err != nil {
		return "", err
	}
	defer t.close()
	r, err := newRun(dialer{addr: t.addr(), wire: w, timeout: 10 * time.Second, maxIdle: 1})
	if err != nil {
		return "", err
	}
	rec.call(context.Background(), r)

	conn := t.last()
	if conn == nil {
		return "", fmt.Errorf("no connection was made")
	}
	// Leave time to see whether the server closes the connection.
	select {
	case <-conn.done:
	case <-time.After(closeGrace):
	}
	request, reply, closed := conn.snapshot()
	if err := checkMessage(request, w, rec.request); err != nil {
		return "", fmt.Errorf("request: %w", err)
	}
	replyName := "none"
	switch rec.reply {
	case 0:
		if len(reply) > 0 {
			return "", fmt.Errorf("a reply of %d bytes to a oneway call", len(reply))
		}
	case msgReply:
		replyName = "reply"
	case msgException:
		replyName = "exception"
	}
	base := filepath.Join(dir, rec.name)
	if err := os.WriteFile(base+".request.bin", request, 0o666); err != nil {
		return "", err
	}
	if rec.reply != 0 {
		if err := checkMessage(reply, w, rec.reply); err != nil {
			return "", fmt.Errorf("reply: %w", err)
		}
		if err := os.WriteFile(base+".reply.bin", reply, 0o666); err != nil {
			return "", err
		}
	}
	then := "keeps"
	if closed {
		then = "closes"
	}
	_, payload, _ := sniff(request)
	return fmt.Sprintf("%s\t%s\t%d\t%d\t%s\t%d\t%s",
		w, rec.name, sequence(payload), len(request), replyName, len(reply), then), nil
}

func checkMessage(b []byte, w wire, msgType int) error {
	got, payload, err := sniff(b)
	if err != nil {
		return err
	}
	if got != w {
		return fmt.Errorf("is %s, want %s", got, w)
	}
	if t := int(binary.BigEndian.Uint16(payload[2:])); t != msgType {
		return fmt.Errorf("message type %d, want %d", t, msgType)
	}
	return nil
}

// sequence returns the sequence number of a Thrift message.
func sequence(payload []byte) int32 {
	name := binary.BigEndian.Uint32(payload[4:])
	return int32(binary.BigEndian.Uint32(payload[8+name:]))
}
