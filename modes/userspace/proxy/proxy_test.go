package proxy

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// start runs a proxy over pipes; update sends it an Update.
func start(t *testing.T) (update func(Update) Reply) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Run(inR, outW) }()
	t.Cleanup(func() {
		inW.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	enc, dec := gob.NewEncoder(inW), gob.NewDecoder(outR)
	return func(u Update) Reply {
		t.Helper()
		u.Ports = [2]uint16{20000, 29999}
		var r Reply
		if err := enc.Encode(u); err != nil {
			t.Fatal(err)
		}
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// backend is a TCP server on loopback.
func backend(t *testing.T, serve func(net.Conn)) netip.AddrPort {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

func dial(t *testing.T, port uint16) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// TestRoundRobinAndRetry: endpoints take turns, and one that refuses is passed over.
func TestRoundRobinAndRetry(t *testing.T) {
	name := func(s string) netip.AddrPort {
		return backend(t, func(c net.Conn) { _, _ = io.WriteString(c, s) })
	}
	dead := netip.MustParseAddrPort("127.0.0.1:1")
	update := start(t)
	r := update(Update{Set: []Portal{{ID: 1, Endpoints: []netip.AddrPort{name("a"), dead, name("b")}}}})
	if r.Err != "" || len(r.Opened) != 1 {
		t.Fatalf("got %+v", r)
	}
	seen := map[string]int{}
	for range 30 {
		b, err := io.ReadAll(dial(t, r.Opened[0]))
		if err != nil {
			t.Fatal(err)
		}
		seen[string(b)]++
	}
	if seen["a"] < 10 || seen["b"] < 10 || seen["a"]+seen["b"] != 30 {
		t.Errorf("answers %v", seen)
	}
	if r := update(Update{Delete: []uint32{1}}); r.Err != "" {
		t.Fatal(r.Err)
	}
	if c, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", r.Opened[0]), time.Second); err == nil {
		c.Close()
		t.Error("a closed portal still answers")
	}
}

// TestBulk: much data goes through whole, both ways, also after the client has
// said that it will send no more.
func TestBulk(t *testing.T) {
	const size = 20 << 20
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	echo := backend(t, func(c net.Conn) {
		got, err := io.ReadAll(c)
		if err != nil {
			return
		}
		_, _ = c.Write(got)
	})
	update := start(t)
	r := update(Update{Set: []Portal{{ID: 7, Endpoints: []netip.AddrPort{echo}}}})
	if r.Err != "" {
		t.Fatal(r.Err)
	}
	c := dial(t, r.Opened[0])
	go func() {
		_, _ = c.Write(data)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes came back: %v", len(got), len(data), err)
	}
}

// TestSlowReader: a peer that takes nothing for a while loses nothing.
func TestSlowReader(t *testing.T) {
	const size = 8 << 20
	source := backend(t, func(c net.Conn) { _, _ = c.Write(make([]byte, size)) })
	update := start(t)
	r := update(Update{Set: []Portal{{ID: 1, Endpoints: []netip.AddrPort{source}}}})
	c := dial(t, r.Opened[0])
	time.Sleep(200 * time.Millisecond)
	n, err := io.Copy(io.Discard, c)
	if err != nil || n != size {
		t.Fatalf("%d of %d bytes: %v", n, size, err)
	}
}

func TestUDP(t *testing.T) {
	srv, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := srv.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = srv.WriteTo(append([]byte("re:"), buf[:n]...), from)
		}
	}()
	update := start(t)
	r := update(Update{Set: []Portal{{ID: 1, UDP: true, Endpoints: []netip.AddrPort{srv.LocalAddr().(*net.UDPAddr).AddrPort()}}}})
	for i := range 3 {
		c, err := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", r.Opened[0]))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintf(c, "%d", i)
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		if err != nil || string(buf[:n]) != fmt.Sprintf("re:%d", i) {
			t.Errorf("got %q, %v", buf[:n], err)
		}
		c.Close()
	}
}

func TestNoFreePort(t *testing.T) {
	l := &loop{portals: map[uint32]*portal{}}
	if r := l.update(Update{Ports: [2]uint16{5, 4}, Set: []Portal{{ID: 1}}}); r.Err == "" {
		t.Error("an empty range gave a port")
	}
}
