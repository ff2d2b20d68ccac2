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
	request, reply := conn.bytes()
	for _, m := range []struct {
		what  string
		bytes []byte
	}{{"request", request}, {"reply", reply}} {
		got, err := sniff(m.bytes)
		if err != nil {
			return fmt.Errorf("%s: %w", m.what, err)
		}
		if got != r.wire {
			return fmt.Errorf("%s is %s, want %s", m.what, got, r.wire)
		}
	}
	return nil
}

// sniff tells the wire of one whole message and checks its lengths. It is
// written from the wire format, not with Kitex's codec.
func sniff(b []byte) (wire, error) {
	const (
		ttheaderMagic = 0x1000
		thriftVersion = 0x8001
		ttheaderFixed = 14 // bytes before the part the header size counts
	)
	if len(b) < 18 {
		return "", fmt.Errorf("only %d bytes", len(b))
	}
	bare, framed := wireBuffered, wireFramed
	if binary.BigEndian.Uint16(b[4:]) == ttheaderMagic {
		bare, framed = wireTTHeader, wireTTHeaderFramed
		if n := int(binary.BigEndian.Uint32(b)) + 4; n != len(b) {
			return "", fmt.Errorf("TTHeader length says %d bytes, there are %d", n, len(b))
		}
		head := ttheaderFixed + 4*int(binary.BigEndian.Uint16(b[12:]))
		if head+8 > len(b) {
			return "", fmt.Errorf("TTHeader of %d bytes in a message of %d", head, len(b))
		}
		b = b[head:]
	}
	switch {
	case binary.BigEndian.Uint16(b) == thriftVersion:
		return bare, nil
	case binary.BigEndian.Uint16(b[4:]) == thriftVersion:
		if n := int(binary.BigEndian.Uint32(b)) + 4; n != len(b) {
			return "", fmt.Errorf("frame length says %d bytes, there are %d", n, len(b))
		}
		return framed, nil
	}
	return "", fmt.Errorf("no Thrift message: % x…", b[:8])
}
