package wire

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"math/big"
	mrand "math/rand"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/volume/block"
)

var rewrite = flag.Bool("rewrite", false, "write the test vector anew: only for a new protocol version")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is a self-signed identity that trusts itself; who is who is pki's and
// tested there.
var config = func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		ClientAuth:   tls.RequireAnyClientCert, InsecureSkipVerify: true, SessionTicketsDisabled: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) != 1 || !bytes.Equal(cs.PeerCertificates[0].Raw, der) {
				return errors.New("a stranger")
			}
			return nil
		},
	}
}()

func newPool(t testing.TB) *block.Pool {
	t.Helper()
	p, err := block.NewPool(4<<20, PayloadMost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// connect makes a TCP connection over loopback.
func connect(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			accepted <- c
		}
		close(accepted)
	}()
	a, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b = <-accepted
	if b == nil {
		t.Fatal("not accepted")
	}
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

// links makes both ends of a link.
func links(t testing.TB, client, server Options) (a, b *Link, errA, errB error) {
	t.Helper()
	ca, cb := connect(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b, errB = Server(t.Context(), cb, config, server)
	}()
	a, errA = Client(t.Context(), ca, config, client)
	<-done
	return a, b, errA, errB
}

func pair(t testing.TB, o Options) (a, b *Link) {
	t.Helper()
	if o.Pool == nil {
		o.Pool = newPool(t)
	}
	a, b, errA, errB := links(t, o, o)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	return a, b
}

// TestVector: a frame is on the wire byte for byte as described.
func TestVector(t *testing.T) {
	f := Frame{Type: Write, Flags: FlagFUA, Lineage: 1, Counter: 2, Seq: 3, Batch: 4, Offset: 5 << 40, Length: 6<<32 + 7, Code: 8, Payload: []byte("payload")}
	b := make([]byte, HeaderSize)
	f.putHeader(b)
	b = append(b, f.Payload...)
	path := filepath.Join("testdata", "frame-v1")
	if *rewrite {
		if err := os.WriteFile(path, []byte(hex.Dump(b)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || hex.Dump(b) != string(want) {
		t.Errorf("written otherwise than the vector (%v):\n%s", err, hex.Dump(b))
	}
	var got Frame
	n, sum, err := DecodeHeader(b, &got)
	if err != nil || n != len(f.Payload) {
		t.Fatal(n, err)
	}
	got.Payload = b[HeaderSize:]
	if err := verify(&got, sum); err != nil {
		t.Error(err)
	}
	if got.Type != f.Type || got.Flags != f.Flags || got.Lineage != 1 || got.Counter != 2 || got.Seq != 3 || got.Batch != 4 || got.Offset != f.Offset || got.Length != f.Length || got.Code != 8 {
		t.Errorf("read back %+v", got)
	}
}

// TestFramesArriveAsSent sends frames of all sizes in both directions at the same
// time.
func TestFramesArriveAsSent(t *testing.T) {
	pool := newPool(t)
	a, b := pair(t, Options{Pool: pool})
	const frames = 300
	make1 := func(r *mrand.Rand, i int) Frame {
		f := Frame{Type: Type(1 + r.Intn(int(typeAfterLast)-1)), Flags: uint16(r.Intn(2)), Lineage: 1, Counter: uint64(r.Intn(5)), Seq: uint64(i), Offset: r.Int63(), Length: r.Int63n(lengthMost), Code: uint32(r.Intn(codeMost))}
		switch r.Intn(4) {
		case 0:
			f.Payload = make([]byte, 1+r.Intn(100))
		case 1:
			f.Payload = make([]byte, 4096)
		case 2:
			f.Payload = make([]byte, 1+r.Intn(PayloadMost))
		}
		r.Read(f.Payload)
		return f
	}
	send := func(l *Link, seed int64) error {
		r := mrand.New(mrand.NewSource(seed))
		for i := range frames {
			f := make1(r, i)
			if err := l.Append(&f); err != nil {
				return err
			}
			if r.Intn(5) == 0 {
				if err := l.Flush(); err != nil {
					return err
				}
			}
		}
		return l.Flush()
	}
	receive := func(l *Link, seed int64) error {
		r := mrand.New(mrand.NewSource(seed))
		for i := range frames {
			want := make1(r, i)
			r.Intn(5)
			var got Frame
			if err := l.Receive(&got); err != nil {
				return err
			}
			same := bytes.Equal(got.Payload, want.Payload)
			if got.Payload != nil {
				pool.Put(got.Payload)
			}
			if got.Payload = nil; !same || got.Type != want.Type || got.Seq != want.Seq || got.Offset != want.Offset || got.Length != want.Length || got.Code != want.Code {
				return errors.New("a frame arrived otherwise than it was sent")
			}
		}
		return nil
	}
	results := make(chan error, 4)
	go func() { results <- send(a, 1) }()
	go func() { results <- send(b, 2) }()
	go func() { results <- receive(b, 1) }()
	go func() { results <- receive(a, 2) }()
	for range 4 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	var f Frame
	if err := b.Receive(&f); err != io.EOF {
		t.Errorf("after the other end closed: %v", err)
	}
}

func TestVersions(t *testing.T) {
	pool := newPool(t)
	old, now := Options{Pool: pool, Peer: "node-b", lowest: 1, highest: 1}, Options{Pool: pool, Peer: "node-a", lowest: 2, highest: 3}
	_, _, errA, errB := links(t, old, now)
	if !message.Has(errA, message.VolumePeerVersion) && !message.Has(errB, message.VolumePeerVersion) {
		t.Errorf("versions that don't meet: %v and %v", errA, errB)
	}
	wide := Options{Pool: pool, lowest: 1, highest: 2}
	if _, _, errA, errB := links(t, old, wide); errA != nil || errB != nil {
		t.Errorf("versions that meet: %v %v", errA, errB)
	}
}

// inner hands bytes through without TLS.
func inner(c net.Conn, pool *block.Pool) *Link {
	return &Link{c: c, o: Options{Pool: pool, Silence: 5 * time.Second, Peer: "node-b"}, out: make([]byte, 0, outSize), in: make([]byte, inSize)}
}

// TestEveryBitCounts turns each bit of a frame: it never arrives as if it was good.
func TestEveryBitCounts(t *testing.T) {
	pool := newPool(t)
	f := Frame{Type: Write, Seq: 9, Payload: bytes.Repeat([]byte{7}, 100)}
	good := make([]byte, HeaderSize)
	f.putHeader(good)
	good = append(good, f.Payload...)
	for i := range len(good) * 8 {
		b := bytes.Clone(good)
		b[i/8] ^= 1 << (i % 8)
		l := inner(&scripted{in: b}, pool)
		var got Frame
		if err := l.Receive(&got); !message.Has(err, message.VolumeWireChecksum) {
			t.Fatalf("bit %d turned: %v", i, err)
		}
	}
}

// scripted is a connection that reads what it was given.
type scripted struct {
	net.Conn
	in []byte
}

func (s *scripted) Read(b []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.in)
	s.in = s.in[n:]
	return n, nil
}
func (s *scripted) Write(b []byte) (int, error)      { return len(b), nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }
func (s *scripted) Close() error                     { return nil }

func TestBadPeers(t *testing.T) {
	pool := newPool(t)
	stranger := config.Clone()
	stranger.VerifyConnection = func(tls.ConnectionState) error { return errors.New("a stranger") }
	web := config.Clone()
	for what, peer := range map[string]func(c net.Conn){
		"plain text": func(c net.Conn) { _, _ = c.Write([]byte("GET / HTTP/1.1\r\n\r\n")) },
		"silence":    func(net.Conn) {},
		"another ALPN": func(c net.Conn) {
			web.NextProtos = []string{"h2"}
			_ = tls.Client(c, web).HandshakeContext(context.Background())
		},
		"an old TLS": func(c net.Conn) {
			o := config.Clone()
			o.MaxVersion = tls.VersionTLS12
			_ = tls.Client(c, o).HandshakeContext(context.Background())
		},
		"a wrong hello": func(c net.Conn) { tc := tls.Client(c, protocol(config)); _, _ = tc.Write(make([]byte, 64)) },
	} {
		t.Run(what, func(t *testing.T) {
			a, b := connect(t)
			done := make(chan struct{})
			go func() {
				defer close(done)
				peer(a)
			}()
			if _, err := Server(t.Context(), b, config, Options{Pool: pool, HandshakeTimeout: 300 * time.Millisecond}); err == nil {
				t.Error("accepted")
			}
			<-done
		})
	}
	a, b := connect(t)
	go func() { _, _ = Server(t.Context(), b, stranger, Options{Pool: pool}) }()
	if l, err := Client(t.Context(), a, config, Options{Pool: pool}); err == nil {
		// In TLS 1.3 the client learns of it with its first read.
		var f Frame
		if err := l.Receive(&f); err == nil {
			t.Error("a link with somebody who refuses us")
		}
	}
}

func TestSilenceEndsALink(t *testing.T) {
	a, _ := pair(t, Options{Silence: 100 * time.Millisecond, Peer: "node-b"})
	var f Frame
	if err := a.Receive(&f); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent link: %v", err)
	}
}

func TestAppendRefuses(t *testing.T) {
	l := inner(&scripted{}, newPool(t))
	for _, f := range []Frame{{}, {Type: typeAfterLast}, {Type: Write, Payload: make([]byte, PayloadMost+1)}, {Type: Zero, Length: -1}, {Type: Zero, Length: lengthMost + 1}, {Type: Write, Offset: -1}, {Type: Ack, Code: codeMost + 1}} {
		if err := l.Append(&f); !errors.Is(err, ErrMalformed) {
			t.Errorf("%+v was taken: %v", f.Type, err)
		}
	}
}

// TestNoAllocationPerFrame counts with TLS on both ends.
func TestNoAllocationPerFrame(t *testing.T) {
	pool := newPool(t)
	a, b := pair(t, Options{Pool: pool})
	f, got := Frame{Type: Write, Payload: make([]byte, 4096)}, Frame{}
	const burst = 16
	round := func() {
		for i := range burst {
			f.Seq = uint64(i)
			if err := a.Append(&f); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Flush(); err != nil {
			t.Fatal(err)
		}
		for range burst {
			if err := b.Receive(&got); err != nil {
				t.Fatal(err)
			}
			pool.Put(got.Payload)
		}
	}
	round()
	// Package tls keeps its buffers in a pool that gives some up now and then.
	if n := testing.AllocsPerRun(100, round); n > burst/2 {
		t.Errorf("%v allocations for %d frames", n, burst)
	}
}

func FuzzReceive(f *testing.F) {
	frame := Frame{Type: Hello, Payload: []byte("hello")}
	b := make([]byte, HeaderSize)
	frame.putHeader(b)
	f.Add(append(b, frame.Payload...))
	f.Add(b)
	pool, err := block.NewPool(PayloadMost, PayloadMost)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		l := inner(&scripted{in: in}, pool)
		for {
			var got Frame
			if err := l.Receive(&got); err != nil {
				break
			}
			if err := got.check(); err != nil {
				t.Fatal(err)
			}
			if got.Payload != nil {
				pool.Put(got.Payload)
			}
		}
		if pool.Free() != pool.Size() {
			t.Fatal("memory is left")
		}
	})
}

func BenchmarkFrames4K(b *testing.B) {
	pool := newPool(b)
	x, y := pair(b, Options{Pool: pool})
	f := Frame{Type: Write, Payload: make([]byte, 4096)}
	done := make(chan struct{})
	b.SetBytes(4096)
	b.ResetTimer()
	go func() {
		defer close(done)
		var got Frame
		for range b.N {
			if y.Receive(&got) != nil {
				return
			}
			pool.Put(got.Payload)
		}
	}()
	for range b.N {
		if err := x.Append(&f); err != nil {
			b.Fatal(err)
		}
	}
	if err := x.Flush(); err != nil {
		b.Fatal(err)
	}
	<-done
}
