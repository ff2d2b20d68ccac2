package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/cloudwego/kitex/pkg/endpoint"
	"github.com/cloudwego/kitex/pkg/rpcinfo"
	"github.com/cloudwego/kitex/pkg/transmeta"
	"github.com/cloudwego/kitex/server"

	"kitexpeer/kitex_gen/interop/interop"
	"kitexpeer/kitex_gen/interop/second"
)

// serverName is the service name clients address; Kitex puts it in the
// TTHeader, the server does not check it.
const serverName = "interop.server"

func serverMain(args []string) error {
	fs := flag.NewFlagSet("server", flag.ExitOnError)
	listen := fs.String("listen", "127.0.0.1:0", "TCP `address` to listen on")
	unix := fs.String("unix", "", "listen on this Unix socket `path` instead of TCP")
	exitWait := fs.Duration("exit-wait", 0, "how long a graceful stop waits for running calls (0: Kitex's default)")
	mux := fs.Bool("mux", false, "serve multiplexing clients, and no others: what Kitex calls the mux transport")
	maxSize := fs.Int("max-size", 0, "largest payload in `bytes` (0: no limit)")
	checksum := fs.Bool("checksum", false, "send and check CRC-32C of payloads")
	stats := fs.Bool("stats", false, "print CPU use and call count to stderr on exit, as one JSON line")
	verbose := fs.Bool("v", false, "keep Kitex's own log")
	fs.Parse(args)
	quietKitex(*verbose)

	network, addr := "tcp", *listen
	if *unix != "" {
		network, addr = "unix", *unix
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		return err
	}
	// Kitex wraps the listener, so take the address before handing it over.
	addr = ln.Addr().String()

	var opts []server.Option
	if *exitWait > 0 {
		opts = append(opts, server.WithExitWaitTime(*exitWait))
	}
	if *mux {
		opts = append(opts, server.WithMuxTransport())
	}
	if *maxSize > 0 || *checksum {
		opts = append(opts, server.WithCodec(newCodec(*maxSize, *checksum)))
	}
	var calls atomic.Int64
	if *stats {
		opts = append(opts, server.WithMiddleware(countCalls(&calls)))
	}
	svr, err := newServer(ln, opts...)
	if err != nil {
		return err
	}
	server.RegisterStartHook(func() { fmt.Printf("LISTENING %s\n", addr) })

	start := time.Now()
	// Run stops gracefully on SIGTERM, SIGINT and SIGHUP.
	err = svr.Run()
	if *stats {
		printUse(calls.Load(), time.Since(start))
	}
	return err
}

// newServer makes the one server every test talks to: two services that share
// the method name Echo, Interop being the one that calls without a service name
// go to.
func newServer(ln net.Listener, opts ...server.Option) (server.Server, error) {
	opts = append([]server.Option{
		server.WithListener(ln),
		server.WithServerBasicInfo(&rpcinfo.EndpointBasicInfo{ServiceName: serverName}),
		// Not on by default; without it business statuses and crrst are lost.
		server.WithMetaHandler(transmeta.ServerTTHeaderHandler),
	}, opts...)
	svr := server.NewServer(opts...)
	if err := interop.RegisterService(svr, new(interopHandler), server.WithFallbackService()); err != nil {
		return nil, err
	}
	if err := second.RegisterService(svr, new(secondHandler)); err != nil {
		return nil, err
	}
	if err := registerBased(svr); err != nil {
		return nil, err
	}
	return svr, registerBlobs(svr)
}

func countCalls(n *atomic.Int64) endpoint.Middleware {
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, req, resp interface{}) error {
			n.Add(1)
			return next(ctx, req, resp)
		}
	}
}
