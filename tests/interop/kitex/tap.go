package main

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// A tap is a TCP proxy in front of a server that keeps the bytes of each
// connection.
type tap struct {
	ln     net.Listener
	target string

	mu    sync.Mutex
	conns []*tapConn
}

// A tapConn is one tapped connection.
type tapConn struct {
	mu             sync.Mutex
	request, reply bytes.Buffer
	serverClosed   bool
	done           chan struct{}
}

// closeGrace is how long a tap waits, after the client has gone, to see whether
// the server closes its side too.
const closeGrace = 200 * time.Millisecond

func newTap(target string) (*tap, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &tap{ln: ln, target: target}
	go t.serve()
	return t, nil
}

func (t *tap) addr() string { return t.ln.Addr().String() }

func (t *tap) close() { t.ln.Close() }

// last returns the newest connection, or nil.
func (t *tap) last() *tapConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.conns) == 0 {
		return nil
	}
	return t.conns[len(t.conns)-1]
}

func (t *tap) serve() {
	for {
		down, err := t.ln.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial(networkOf(t.target), t.target)
		if err != nil {
			down.Close()
			continue
		}
		c := &tapConn{done: make(chan struct{})}
		t.mu.Lock()
		t.conns = append(t.conns, c)
		t.mu.Unlock()
		go c.pump(down, up)
	}
}

// networkOf tells a Unix socket's path from a TCP address.
func networkOf(addr string) string {
	if strings.Contains(addr, "/") {
		return "unix"
	}
	return "tcp"
}

func (c *tapConn) pump(down, up net.Conn) {
	defer close(c.done)
	serverDone := make(chan struct{})
	go func() {
		io.Copy(io.MultiWriter(c.keep(&c.reply), down), up)
		close(serverDone)
	}()
	clientDone := make(chan struct{})
	go func() {
		io.Copy(io.MultiWriter(c.keep(&c.request), up), down)
		close(clientDone)
	}()
	select {
	case <-serverDone:
		c.setServerClosed()
	case <-clientDone:
		select {
		case <-serverDone:
			c.setServerClosed()
		case <-time.After(closeGrace):
		}
	}
	down.Close()
	up.Close()
	<-serverDone
	<-clientDone
}

func (c *tapConn) setServerClosed() {
	c.mu.Lock()
	c.serverClosed = true
	c.mu.Unlock()
}

// keep returns a writer that appends to b under the lock.
func (c *tapConn) keep(b *bytes.Buffer) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return b.Write(p)
	})
}

// snapshot returns what went each way so far and whether the server closed.
func (c *tapConn) snapshot() (request, reply []byte, serverClosed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.request.Bytes()), bytes.Clone(c.reply.Bytes()), c.serverClosed
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
