package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cloudwego/kitex/client"
	"github.com/cloudwego/kitex/pkg/connpool"
	"github.com/cloudwego/kitex/pkg/remote"
	"github.com/cloudwego/kitex/pkg/remote/codec"
	"github.com/cloudwego/kitex/pkg/rpcinfo"
	"github.com/cloudwego/kitex/pkg/transmeta"
	"github.com/cloudwego/kitex/transport"

	"kitexpeer/kitex_gen/interop/interop"
	"kitexpeer/kitex_gen/interop/second"
	"kitexpeer/kitex_gen/interop/unknown"
)

// newCodec makes the default codec with what can be switched on in it.
func newCodec(maxSize int, checksum bool) remote.Codec {
	return codec.NewDefaultCodecWithConfig(codec.CodecConfig{MaxSize: maxSize, CRC32Check: checksum})
}

const clientName = "interop.client"

// A wire is one of the shapes a Thrift call has on the connection.
type wire string

const (
	wireFramed         wire = "framed"
	wireBuffered       wire = "buffered"
	wireTTHeader       wire = "ttheader"
	wireTTHeaderFramed wire = "ttheader-framed"
	// TTHeader around frames, on connections that calls share.
	wireMux wire = "mux"
)

var allWires = []wire{wireFramed, wireBuffered, wireTTHeader, wireTTHeaderFramed, wireMux}

func parseWire(s string) (wire, error) {
	for _, w := range allWires {
		if s == string(w) {
			return w, nil
		}
	}
	return "", fmt.Errorf("unknown transport %q (want one of %v)", s, allWires)
}

// hasHeader tells whether service name, statuses and metainfo can travel.
func (w wire) hasHeader() bool { return w == wireTTHeader || w == wireTTHeaderFramed || w == wireMux }

func (w wire) framed() bool { return w == wireFramed || w == wireTTHeaderFramed || w == wireMux }

// options makes a client speak exactly this wire. Kitex starts from Framed and
// ORs in what it is given, so asking for TTHeader alone sends TTHeader plus
// frames; only PurePayload clears the bits, hence it comes first every time.
func (w wire) options() []client.Option {
	opts := []client.Option{client.WithTransportProtocol(transport.PurePayload)}
	if w.hasHeader() {
		opts = append(opts,
			client.WithTransportProtocol(transport.TTHeader),
			client.WithMetaHandler(transmeta.ClientTTHeaderHandler))
	}
	if w.framed() {
		opts = append(opts, client.WithTransportProtocol(transport.Framed))
	}
	return opts
}

// muxConnections is how many connections all calls of a client share.
const muxConnections = 2

// A dialer holds what is needed to make clients of one server.
type dialer struct {
	addr    string
	wire    wire
	timeout time.Duration
	maxIdle int
	// Largest payload that is received, and whether payloads carry checksums.
	maxSize  int
	checksum bool
	// Where servers come from, instead of addr.
	registry *registry
}

func (d dialer) options() []client.Option {
	connections := client.WithLongConnection(connpool.IdleConfig{
		MaxIdlePerAddress: d.maxIdle,
		MaxIdleTimeout:    time.Minute,
	})
	if d.wire == wireMux {
		connections = client.WithMuxConnection(muxConnections)
	}
	opts := d.wire.options()
	if d.maxSize > 0 || d.checksum {
		opts = append(opts, client.WithCodec(newCodec(d.maxSize, d.checksum)))
	}
	servers := client.WithHostPorts(strings.Split(d.addr, ",")...)
	if d.registry != nil {
		servers = client.WithResolver(d.registry)
	}
	return append(opts,
		servers,
		client.WithClientBasicInfo(&rpcinfo.EndpointBasicInfo{ServiceName: clientName}),
		client.WithRPCTimeout(d.timeout),
		// The default of 50 ms is too tight for a busy test machine.
		client.WithConnectTimeout(2*time.Second),
		connections)
}

func (d dialer) interop() (interop.Client, error) {
	return interop.NewClient(serverName, d.options()...)
}

func (d dialer) second() (second.Client, error) {
	return second.NewClient(serverName, d.options()...)
}

// unknown is a client of a service that no server has.
func (d dialer) unknown() (unknown.Client, error) {
	return unknown.NewClient(serverName, d.options()...)
}

// missing calls the method Missing, which no server has, on a service name that
// it does have.
func (d dialer) missing(service string) (func(ctx context.Context, s string) (string, error), error) {
	info := unknown.NewServiceInfoForClient()
	info.ServiceName = service
	kc, err := client.NewClient(info, append(d.options(), client.WithDestService(serverName))...)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, s string) (string, error) { return callMissing(ctx, kc, s) }, nil
}

func clientMain(args []string) error {
	fs := flag.NewFlagSet("client", flag.ExitOnError)
	addr := fs.String("addr", "", "server `address`: host:port, or the path of a Unix socket; several with commas")
	wireName := fs.String("transport", string(wireTTHeaderFramed), "framed, buffered, ttheader, ttheader-framed or mux")
	names := fs.String("case", "all", "case `names`, comma separated; all: every case that needs no help")
	calls := fs.Int("n", 50, "calls of each caller in the case callers")
	callers := fs.Int("c", 200, "concurrent callers in the cases callers and load")
	timeout := fs.Duration("timeout", 10*time.Second, "RPC timeout")
	maxSize := fs.Int("max-size", 0, "largest payload in `bytes` (0: no limit)")
	checksum := fs.Bool("checksum", false, "send and check CRC-32C of payloads")
	strict := fs.Bool("strict", false, "also require texts that only a Kitex server sends")
	list := fs.Bool("list", false, "list the cases and exit")
	verbose := fs.Bool("v", false, "keep Kitex's own log")
	fs.Parse(args)
	quietKitex(*verbose)

	if *list {
		for _, c := range allCases {
			fmt.Printf("%-16s %s\n", c.name, c.about)
		}
		return nil
	}
	w, err := parseWire(*wireName)
	if err != nil {
		return err
	}
	if *addr == "" {
		return fmt.Errorf("-addr is missing")
	}
	chosen, err := selectCases(*names)
	if err != nil {
		return err
	}
	r, err := newRun(dialer{addr: *addr, wire: w, timeout: *timeout, maxIdle: 10, maxSize: *maxSize, checksum: *checksum})
	if err != nil {
		return err
	}
	r.callers, r.calls, r.strict = *callers, *calls, *strict

	failed := 0
	for _, c := range chosen {
		if err := r.protect(c); err != nil {
			failed++
			// One line per case, whatever the error text holds.
			fmt.Printf("FAIL %s: %s\n", c.name, strings.ReplaceAll(err.Error(), "\n", `\n`))
			continue
		}
		fmt.Printf("ok %s\n", c.name)
	}
	fmt.Printf("%d passed, %d failed\n", len(chosen)-failed, failed)
	if failed > 0 {
		os.Exit(1)
	}
	return nil
}
