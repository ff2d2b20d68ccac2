package main

import (
	"context"
	"encoding/binary"
	"fmt"

	"kitexpeer/kitex_gen/interop"
)

// caseWire makes a call through a tap and checks the shape of the bytes in both
// directions: every other case would pass with a transport mixed up.
func caseWire(ctx context.Context, r *run) error {
	t, err := newTap(r.addr)
	if err != nil {
		return err
	}
	defer t.close()
	d := r.dialer
	d.addr = t.addr()
	cli, err := d.interop()
	if err != nil {
		return err
	}
	if _, err := cli.Echo(ctx, &interop.Req{Message: "wire"}); err != nil {
		return err
	}
	conn := t.last()
	if conn == nil {
		return fmt.Errorf("no connection went through the tap")
	}
	request, reply, _ := conn.snapshot()
	for _, m := range []struct {
		what  string
		bytes []byte
	}{{"request", request}, {"reply", reply}} {
		got, _, err := sniff(m.bytes)
		if err != nil {
			return fmt.Errorf("%s: %w", m.what, err)
		}
		want := r.wire
		if want == wireMux {
			want = wireTTHeaderFramed // a message looks the same
		}
		if got != want {
			return fmt.Errorf("%s is %s, want %s", m.what, got, want)
		}
	}
	return nil
}

// sniff tells the wire of one whole message, checks its lengths, and returns the
// Thrift message in it. It is written from the wire format, not with Kitex's
// codec.
func sniff(b []byte) (w wire, payload []byte, err error) {
	const (
		ttheaderMagic = 0x1000
		thriftVersion = 0x8001
		ttheaderFixed = 14 // bytes before the part the header size counts
		shortest      = 14 // a Thrift message with a one-letter name and no fields
	)
	if len(b) < shortest {
		return "", nil, fmt.Errorf("only %d bytes", len(b))
	}
	bare, framed := wireBuffered, wireFramed
	if binary.BigEndian.Uint16(b[4:]) == ttheaderMagic {
		bare, framed = wireTTHeader, wireTTHeaderFramed
		if n := int(binary.BigEndian.Uint32(b)) + 4; n != len(b) {
			return "", nil, fmt.Errorf("TTHeader length says %d bytes, there are %d", n, len(b))
		}
		head := ttheaderFixed + 4*int(binary.BigEndian.Uint16(b[12:]))
		if head+shortest > len(b) {
			return "", nil, fmt.Errorf("TTHeader of %d bytes in a message of %d", head, len(b))
		}
		b = b[head:]
	}
	switch {
	case binary.BigEndian.Uint16(b) == thriftVersion:
		return bare, b, nil
	case binary.BigEndian.Uint16(b[4:]) == thriftVersion:
		if n := int(binary.BigEndian.Uint32(b)) + 4; n != len(b) {
			return "", nil, fmt.Errorf("frame length says %d bytes, there are %d", n, len(b))
		}
		return framed, b[4:], nil
	}
	return "", nil, fmt.Errorf("no Thrift message: % x…", b[:8])
}
