package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/bytedance/gopkg/cloud/metainfo"
	"github.com/cloudwego/kitex/pkg/kerrors"
	"github.com/cloudwego/kitex/pkg/remote"
	"github.com/cloudwego/kitex/pkg/rpcinfo"

	"kitexpeer/kitex_gen/interop"
)

// What Fail answers, shared with the client's expectations.
const (
	bizCode     = 404
	bizMessage  = "not found"
	transCode   = 9001
	transText   = "own code"
	plainText   = "plain error"
	panicText   = "panic on request"
	maxBigBytes = 64 << 20
	// Meta answers to this key with the caller's timeout in ms, 0 if it is not told.
	tellTimeout = "TELL_TIMEOUT"
)

func bizExtra() map[string]string {
	// The quotes and angle brackets make Go's JSON encoder escape; é is two
	// bytes and must not be.
	return map[string]string{"k": "v", "quote": `<"é>`}
}

type interopHandler struct {
	fired atomic.Int64
}

func (h *interopHandler) Echo(ctx context.Context, req *interop.Req) (*interop.Res, error) {
	if req.Message == "throw" {
		return nil, &interop.EchoError{Code: 7, Message: "thrown"}
	}
	return &interop.Res{Message: req.Message, Payload: req.Payload}, nil
}

func (h *interopHandler) EchoTypes(ctx context.Context, v *interop.AllTypes) (*interop.AllTypes, error) {
	return v, nil
}

func (h *interopHandler) Void(ctx context.Context, s string) error { return nil }

func (h *interopHandler) Fire(ctx context.Context, s string) error {
	h.fired.Add(1)
	return nil
}

func (h *interopHandler) FireCount(ctx context.Context) (int64, error) {
	return h.fired.Load(), nil
}

func (h *interopHandler) Fail(ctx context.Context, how string) (string, error) {
	switch how {
	case "declared":
		return "", &interop.EchoError{Code: 1001, Message: "declared"}
	case "declared2":
		return "", &interop.OtherError{Reason: "declared2", Details: []string{"a", "b"}}
	case "biz":
		return "", kerrors.NewBizStatusErrorWithExtra(bizCode, bizMessage, bizExtra())
	case "error":
		return "", errors.New(plainText)
	case "trans":
		return "", remote.NewTransErrorWithMsg(transCode, transText)
	case "panic":
		panic(panicText)
	}
	return how, nil
}

func (h *interopHandler) Add(ctx context.Context, a, b int64) (int64, error) { return a + b, nil }

func (h *interopHandler) Sleep(ctx context.Context, ms int32) (int32, error) {
	time.Sleep(time.Duration(ms) * time.Millisecond)
	return ms, nil
}

func (h *interopHandler) Meta(ctx context.Context, backward map[string]string) (map[string]string, error) {
	seen := map[string]string{"caller": rpcinfo.GetRPCInfo(ctx).From().ServiceName()}
	for k, v := range metainfo.GetAllValues(ctx) {
		seen["transient."+k] = v
	}
	for k, v := range metainfo.GetAllPersistentValues(ctx) {
		seen["persistent."+k] = v
	}
	for k, v := range backward {
		seen["arg."+k] = v
	}
	if _, ok := backward[tellTimeout]; ok {
		seen[tellTimeout] = fmt.Sprint(rpcinfo.GetRPCInfo(ctx).Config().RPCTimeout().Milliseconds())
	}
	metainfo.SendBackwardValuesFromMap(ctx, backward)
	return seen, nil
}

func (h *interopHandler) Big(ctx context.Context, n int32) ([]byte, error) {
	if n < 0 || n > maxBigBytes {
		return nil, fmt.Errorf("Big: %d bytes is out of range", n)
	}
	return patternBytes(int(n)), nil
}

// patternBytes returns n bytes in which a shift, a cut or a repeat shows.
func patternBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

type secondHandler struct{}

func (h *secondHandler) Echo2(ctx context.Context, s string) (string, error) {
	return "second2:" + s, nil
}

func (h *secondHandler) Echo(ctx context.Context, req *interop.Req) (*interop.Res, error) {
	return &interop.Res{Message: "second:" + req.Message, Payload: req.Payload}, nil
}
