package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cloudwego/kitex/client"
	"github.com/cloudwego/kitex/pkg/serviceinfo"
	"github.com/cloudwego/kitex/server"
)

// The service Blobs has one method, Pass, whose messages are bytes that nobody
// looks into, sent as Kitex sends protobuf over TTHeader. What generated code
// would do with them is left out, as both ends only pass them on.

const (
	blobsName  = "Blobs"
	passMethod = "Pass"
)

// A blob is a message of which Kitex's protobuf codec sees bytes.
type blob struct{ data []byte }

func (b *blob) Marshal(out []byte) ([]byte, error) { return append(out, b.data...), nil }

func (b *blob) Unmarshal(in []byte) error {
	b.data = append([]byte(nil), in...)
	return nil
}

type blobsHandler interface {
	Pass(ctx context.Context, in *blob) (*blob, error)
}

type passOn struct{}

func (*passOn) Pass(ctx context.Context, in *blob) (*blob, error) { return in, nil }

func newBlob() interface{} { return new(blob) }

func blobsInfo() *serviceinfo.ServiceInfo {
	pass := func(ctx context.Context, handler, args, result interface{}) error {
		out, err := handler.(blobsHandler).Pass(ctx, args.(*blob))
		if err == nil {
			result.(*blob).data = out.data
		}
		return err
	}
	return &serviceinfo.ServiceInfo{
		ServiceName:  blobsName,
		HandlerType:  (*blobsHandler)(nil),
		PayloadCodec: serviceinfo.Protobuf,
		Methods: map[string]serviceinfo.MethodInfo{
			passMethod: serviceinfo.NewMethodInfo(pass, newBlob, newBlob, false),
		},
		Extra: map[string]interface{}{"PackageName": "interop"},
	}
}

func registerBlobs(svr server.Server) error { return svr.RegisterService(blobsInfo(), new(passOn)) }

// caseProtobuf sends bytes that look like protobuf, and some that do not.
func caseProtobuf(ctx context.Context, r *run) error {
	kc, err := client.NewClient(blobsInfo(), append(r.options(), client.WithDestService(serverName))...)
	if err != nil {
		return err
	}
	for _, data := range [][]byte{{0x0a, 2, 'h', 'i'}, {}, {0xff, 0, 0x80}, patternBytes(100_000)} {
		var out blob
		if err := kc.Call(ctx, passMethod, &blob{data}, &out); err != nil {
			return fmt.Errorf("%d bytes: %w", len(data), err)
		}
		if !bytes.Equal(out.data, data) {
			return fmt.Errorf("%d bytes differ from the %d sent", len(out.data), len(data))
		}
	}
	return r.alive(ctx)
}
