package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bytedance/gopkg/cloud/metainfo"
	"github.com/cloudwego/kitex/client/callopt"
	"github.com/cloudwego/kitex/pkg/kerrors"
	"github.com/cloudwego/kitex/pkg/remote"

	"kitexpeer/kitex_gen/interop"
)

// A testCase checks one behaviour and returns why it is not as expected. Where
// a transport cannot carry something, the case checks that it does not.
type testCase struct {
	name  string
	about string
	// needsHelp marks cases in which the harness has to act; "all" leaves
	// them out.
	needsHelp bool
	run       func(ctx context.Context, r *run) error
}

var allCases = []testCase{
	{name: "wire", about: "the client really speaks the chosen transport, and the reply mirrors it", run: caseWire},
	{name: "echo", about: "strings and optional binaries come back", run: caseEcho},
	{name: "types", about: "every Thrift type: full, least and extreme values", run: caseTypes},
	{name: "enum-unknown", about: "an enum number outside the IDL survives", run: caseEnumUnknown},
	{name: "void", about: "a void method", run: caseVoid},
	{name: "oneway", about: "every oneway call arrives once", run: caseOneway},
	{name: "add", about: "several arguments", run: caseAdd},
	{name: "declared", about: "first declared exception", run: caseDeclared},
	{name: "declared2", about: "second declared exception", run: caseDeclared2},
	{name: "biz", about: "business status with extra; lost without TTHeader", run: caseBiz},
	{name: "error", about: "plain handler error: exception type 6", run: caseError},
	{name: "trans", about: "handler's own exception type", run: caseTrans},
	{name: "panic", about: "handler panic: exception type 6", run: casePanic},
	{name: "unknown-method", about: "missing method: type 1 with a service name, 20 without", run: caseUnknownMethod},
	{name: "unknown-service", about: "missing service: type 20", run: caseUnknownService},
	{name: "second", about: "same method name in two services, chosen by service name", run: caseSecond},
	{name: "metainfo", about: "transient, persistent and backward values", run: caseMetainfo},
	{name: "big", about: "1 MiB both ways", run: caseBig},
	{name: "callers", about: "many concurrent callers, each gets its own answers (-c, -n)", run: caseCallers},
	{name: "deadline", about: "RPC timeout; late replies do not meet later calls", run: caseDeadline},
	{name: "protobuf", about: "a protobuf payload passes as bytes; TTHeader around frames only", needsHelp: true, run: caseProtobuf},
	{name: "told", about: "the server sees the timeout", needsHelp: true, run: caseTold},
	{name: "cancel", about: "a call is cancelled by its context", needsHelp: true, run: caseCancel},
	{name: "limit", about: "64 MiB is refused by either side's limit", needsHelp: true, run: caseLimit},
	{name: "frozen", about: "prints FREEZE and THAW, then expects SIGSTOP and SIGCONT to the server and a line on stdin", needsHelp: true, run: caseFrozen},
	{name: "roll", about: "prints CALLING, then expects servers to be replaced, and lines on stdin until one says over", needsHelp: true, run: caseRoll},
	{name: "killed", about: "prints CALLING, then expects the harness to kill the server", needsHelp: true, run: caseKilled},
	{name: "drain", about: "prints CALLING, then expects the harness to stop the server with SIGTERM", needsHelp: true, run: caseDrain},
	{name: "load", about: "the same while -c callers call all the time", needsHelp: true, run: caseLoad},
}

func selectCases(names string) ([]testCase, error) {
	var chosen []testCase
	for _, name := range strings.Split(names, ",") {
		found := false
		for _, c := range allCases {
			if c.name == name || name == "all" && !c.needsHelp {
				chosen = append(chosen, c)
				found = true
			}
		}
		if !found {
			return nil, fmt.Errorf("unknown case %q (client -list shows them)", name)
		}
	}
	return chosen, nil
}

func caseEcho(ctx context.Context, r *run) error {
	for _, req := range []*interop.Req{
		{Message: "hi"},
		{Message: "", Payload: []byte{}},
		{Message: "héllo, 世界 🎉\x00\t\"<>", Payload: []byte{0, 1, 0x7f, 0x80, 0xff}},
		{Message: strings.Repeat("x", 70_000), Payload: patternBytes(5000)},
	} {
		res, err := r.client.Echo(ctx, req)
		if err != nil {
			return err
		}
		if err := equal("reply", *res, interop.Res{Message: req.Message, Payload: req.Payload}); err != nil {
			return err
		}
	}
	_, err := r.client.Echo(ctx, &interop.Req{Message: "throw"})
	var declared *interop.EchoError
	if !errors.As(err, &declared) {
		return fmt.Errorf("got %v, want an EchoError", err)
	}
	return equal("exception", *declared, interop.EchoError{Code: 7, Message: "thrown"})
}

func caseTypes(ctx context.Context, r *run) error {
	for _, v := range []struct {
		name string
		make func() *interop.AllTypes
	}{{"full", fullTypes}, {"least", leastTypes}, {"extreme", extremeTypes}} {
		got, err := r.client.EchoTypes(ctx, v.make())
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		if err := sameTypes(got, v.make()); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	return nil
}

func caseEnumUnknown(ctx context.Context, r *run) error {
	v := leastTypes()
	v.Color = 77
	v.Colors = []interop.Color{-1, interop.Color_RED, 1000}
	got, err := r.client.EchoTypes(ctx, v)
	if err != nil {
		return err
	}
	return sameTypes(got, v)
}

func caseVoid(ctx context.Context, r *run) error {
	if err := r.client.Void(ctx, "nothing"); err != nil {
		return err
	}
	return r.alive(ctx)
}

// caseOneway needs the server for itself: it reads a counter of the server.
func caseOneway(ctx context.Context, r *run) error {
	const calls = 20
	before, err := r.client.FireCount(ctx)
	if err != nil {
		return err
	}
	for i := 0; i < calls; i++ {
		if err := r.client.Fire(ctx, fmt.Sprint("shot ", i)); err != nil {
			return err
		}
	}
	want := before + calls
	var got int64
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got, err = r.client.FireCount(ctx); err != nil {
			return err
		}
		if got >= want {
			break
		}
	}
	return equal("count", got-before, want-before)
}

func caseAdd(ctx context.Context, r *run) error {
	for _, v := range [][3]int64{{1, 2, 3}, {-5, 3, -2}, {1 << 62, 1<<62 - 1, 1<<63 - 1}} {
		got, err := r.client.Add(ctx, v[0], v[1])
		if err != nil {
			return err
		}
		if err := equal("sum", got, v[2]); err != nil {
			return err
		}
	}
	return nil
}

func caseDeclared(ctx context.Context, r *run) error {
	_, err := r.client.Fail(ctx, "declared")
	var got *interop.EchoError
	if !errors.As(err, &got) {
		return fmt.Errorf("got %v, want an EchoError", err)
	}
	if err := equal("exception", *got, interop.EchoError{Code: 1001, Message: "declared"}); err != nil {
		return err
	}
	return r.alive(ctx)
}

func caseDeclared2(ctx context.Context, r *run) error {
	_, err := r.client.Fail(ctx, "declared2")
	var got *interop.OtherError
	if !errors.As(err, &got) {
		return fmt.Errorf("got %v, want an OtherError", err)
	}
	want := interop.OtherError{Reason: "declared2", Details: []string{"a", "b"}}
	if err := equal("exception", *got, want); err != nil {
		return err
	}
	return r.alive(ctx)
}

func caseBiz(ctx context.Context, r *run) error {
	got, err := r.client.Fail(ctx, "biz")
	if !r.wire.hasHeader() {
		// The status has no place to travel in: an empty success is left.
		if err != nil {
			return err
		}
		if err := equal("result", got, ""); err != nil {
			return err
		}
		return r.alive(ctx)
	}
	status, ok := kerrors.FromBizStatusError(err)
	if !ok {
		return fmt.Errorf("got %v, want a business status", err)
	}
	if err := equal("code", status.BizStatusCode(), int32(bizCode)); err != nil {
		return err
	}
	if err := equal("message", status.BizMessage(), bizMessage); err != nil {
		return err
	}
	if err := equal("extra", status.BizExtra(), bizExtra()); err != nil {
		return err
	}
	return r.alive(ctx)
}

func caseError(ctx context.Context, r *run) error {
	_, err := r.client.Fail(ctx, "error")
	if err := wantException(err, remote.InternalError, "biz error: "+plainText); err != nil {
		return err
	}
	return r.alive(ctx)
}

func caseTrans(ctx context.Context, r *run) error {
	_, err := r.client.Fail(ctx, "trans")
	if err := wantException(err, transCode, transText+" [biz error]"); err != nil {
		return err
	}
	return r.alive(ctx)
}

func casePanic(ctx context.Context, r *run) error {
	_, err := r.client.Fail(ctx, "panic")
	text, err := exceptionText(err, remote.InternalError)
	if err != nil {
		return err
	}
	if r.strict {
		want := "panic: [happened in biz handler, method=Interop.Fail, please check the panic at the server side] " + panicText
		if err := equal("exception text", text, want); err != nil {
			return err
		}
	} else if text == "" {
		return errors.New("the exception has no text")
	}
	return r.alive(ctx)
}

func caseUnknownMethod(ctx context.Context, r *run) error {
	_, err := r.missing(ctx, "anyone there?")
	if r.wire.hasHeader() {
		err = wantException(err, remote.UnknownMethod, "unknown method Missing (service Interop)")
	} else {
		// Without a service name the server looks for the method everywhere
		// and reports the (nameless) service.
		err = wantException(err, remote.UnknownService, "unknown service , method Missing")
	}
	if err != nil {
		return err
	}
	return r.alive(ctx)
}

func caseUnknownService(ctx context.Context, r *run) error {
	_, err := r.unknown.Missing(ctx, "anyone there?")
	name := ""
	if r.wire.hasHeader() {
		name = "Unknown"
	}
	if err := wantException(err, remote.UnknownService, "unknown service "+name+", method Missing"); err != nil {
		return err
	}

	// Two services have the method Echo: with an unknown service name none is
	// preferred, without a name the fallback service answers.
	res, err := r.unknown.Echo(ctx, &interop.Req{Message: "who?"})
	if r.wire.hasHeader() {
		err = wantException(err, remote.UnknownService, "unknown service Unknown, method Echo")
	} else if err == nil {
		err = equal("Echo", *res, interop.Res{Message: "who?"})
	}
	if err != nil {
		return err
	}

	return r.alive(ctx)
}

func caseSecond(ctx context.Context, r *run) error {
	// Only Second has Echo2, so it is found with and without a service name.
	got, err := r.second.Echo2(ctx, "a")
	if err != nil {
		return err
	}
	if err := equal("Echo2", got, "second2:a"); err != nil {
		return err
	}
	res, err := r.second.Echo(ctx, &interop.Req{Message: "b", Payload: []byte{1}})
	if err != nil {
		return err
	}
	want := interop.Res{Message: "b", Payload: []byte{1}}
	if r.wire.hasHeader() {
		want.Message = "second:b"
	}
	if err := equal("Second.Echo", *res, want); err != nil {
		return err
	}
	res, err = r.client.Echo(ctx, &interop.Req{Message: "c"})
	if err != nil {
		return err
	}
	return equal("Interop.Echo", *res, interop.Res{Message: "c"})
}

func caseMetainfo(ctx context.Context, r *run) error {
	// Upper-snake keys are the ones that survive every protocol of Kitex.
	ctx = metainfo.WithValue(ctx, "TRACE", "t-1")
	ctx = metainfo.WithPersistentValue(ctx, "USER_ID", "héllo <\"&>")
	ctx = metainfo.WithBackwardValues(ctx)
	backward := map[string]string{"BACK": "b-1", "BACK_TWO": "é"}
	seen, err := r.client.Meta(ctx, backward)
	if err != nil {
		return err
	}
	want := map[string]string{"caller": "", "arg.BACK": "b-1", "arg.BACK_TWO": "é"}
	if r.wire.hasHeader() {
		want["caller"] = clientName
		want["transient.TRACE"] = "t-1"
		want["persistent.USER_ID"] = "héllo <\"&>"
	}
	if err := equal("seen by the handler", seen, want); err != nil {
		return err
	}
	for k, v := range backward {
		got, ok := metainfo.RecvBackwardValue(ctx, k)
		if ok != r.wire.hasHeader() {
			return fmt.Errorf("backward value %s: received=%v", k, ok)
		}
		if ok && got != v {
			return fmt.Errorf("backward value %s: got %q, want %q", k, got, v)
		}
	}

	// Nothing of that call may stick to the connection or the next call.
	seen, err = r.client.Meta(context.Background(), nil)
	if err != nil {
		return err
	}
	return equal("seen without metainfo", seen, map[string]string{"caller": want["caller"]})
}

func caseBig(ctx context.Context, r *run) error {
	const size = 1 << 20
	want := patternBytes(size)
	got, err := r.client.Big(ctx, size)
	if err != nil {
		return fmt.Errorf("reply: %w", err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("reply: %d bytes differ from the %d expected", len(got), size)
	}
	for i := 0; i < 3; i++ {
		res, err := r.client.Echo(ctx, &interop.Req{Message: "big", Payload: want})
		if err != nil {
			return fmt.Errorf("both ways: %w", err)
		}
		if res.Message != "big" || !bytes.Equal(res.Payload, want) {
			return fmt.Errorf("both ways: %d bytes differ from the %d sent", len(res.Payload), size)
		}
	}
	return nil
}

func caseDeadline(ctx context.Context, r *run) error {
	const limit, sleep = 100 * time.Millisecond, 400 * time.Millisecond
	start := time.Now()
	_, err := r.client.Sleep(ctx, int32(sleep.Milliseconds()), callopt.WithRPCTimeout(limit))
	took := time.Since(start)
	if !errors.Is(err, kerrors.ErrRPCTimeout) {
		return fmt.Errorf("got %v, want an RPC timeout", err)
	}
	if took < limit || took >= sleep {
		return fmt.Errorf("timed out after %v, want about %v", took, limit)
	}
	// Call until well after the late reply: it must reach none of these calls.
	for i := 0; time.Since(start) < 2*sleep; i++ {
		msg := fmt.Sprint("after the timeout ", i)
		res, err := r.client.Echo(ctx, &interop.Req{Message: msg})
		if err != nil {
			return fmt.Errorf("call %d after the timeout: %w", i, err)
		}
		if err := equal("reply", *res, interop.Res{Message: msg}); err != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}
