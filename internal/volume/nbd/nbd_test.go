package nbd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/volume/block"
	"github.com/perdure-ha/perdure/internal/volume/device/memory"
	"github.com/perdure-ha/perdure/internal/volume/front"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// volume serves a device as it is.
type volume struct {
	name string
	d    interface {
		block.Submitter
		Geometry() block.Geometry
	}
	mu     sync.Mutex
	open   int
	opened []front.Initiator
	refuse error
}

func (v *volume) Name() string             { return v.name }
func (v *volume) Geometry() block.Geometry { return v.d.Geometry() }
func (v *volume) Open(i front.Initiator) (front.Session, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.refuse != nil {
		return nil, v.refuse
	}
	v.open++
	v.opened = append(v.opened, i)
	return &session{v}, nil
}
func (v *volume) Watch(func(block.Geometry)) (stop func()) { return func() {} }

type session struct{ v *volume }

func (s *session) Submit(batch []*block.Request) { s.v.d.Submit(batch) }
func (s *session) Abort()                        {}
func (s *session) Close() {
	s.v.mu.Lock()
	s.v.open--
	s.v.mu.Unlock()
}

type exports []*volume

func (e exports) Names() []string {
	var all []string
	for _, v := range e {
		all = append(all, v.name)
	}
	return all
}

func (e exports) Volume(name string) front.Volume {
	for _, v := range e {
		if v.name == name || name == "" && len(e) == 1 {
			return v
		}
	}
	return nil
}

// serve starts a server on a unix socket. Its pool must be whole in the end.
func serve(t testing.TB, c Config) (socket string) {
	t.Helper()
	if c.Pool == nil {
		c.Pool = newPool(t)
	}
	c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	s := NewServer(c)
	socket = filepath.Join(t.TempDir(), "nbd.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return socket
}

func newPool(t testing.TB) *block.Pool {
	t.Helper()
	p, err := block.NewPool(4<<20, 1<<20)
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

// client speaks the protocol byte by byte.
type client struct {
	t testing.TB
	net.Conn
}

func dial(t testing.TB, socket string) *client {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{t, c}
}

func (c *client) want(n int) []byte {
	c.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		c.t.Fatalf("read %d bytes: %v", n, err)
	}
	return b
}

func (c *client) put(parts ...any) {
	c.t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		if s, ok := p.(string); ok {
			b.WriteString(s)
		} else if err := binary.Write(&b, binary.BigEndian, p); err != nil {
			c.t.Fatal(err)
		}
	}
	if _, err := c.Write(b.Bytes()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) hello() {
	c.t.Helper()
	b := c.want(18)
	if string(b[:16]) != "NBDMAGICIHAVEOPT" || b[17] != 3 {
		c.t.Fatalf("hello: %q", b)
	}
	c.put(uint32(3))
}

func (c *client) option(opt uint32, data string) {
	c.t.Helper()
	c.put("IHAVEOPT", opt, uint32(len(data)), data)
}

// reply reads one option reply.
func (c *client) reply() (kind uint32, data []byte) {
	c.t.Helper()
	b := c.want(20)
	if binary.BigEndian.Uint64(b) != magicReply {
		c.t.Fatalf("an option reply begins with %x", b)
	}
	return binary.BigEndian.Uint32(b[12:]), c.want(int(binary.BigEndian.Uint32(b[16:])))
}

func (c *client) expect(kind uint32) []byte {
	c.t.Helper()
	got, data := c.reply()
	if got != kind {
		c.t.Fatalf("reply %#x %q, want %#x", got, data, kind)
	}
	return data
}

func infoData(name string, kinds ...uint16) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(name)))
	b = append(b, name...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(kinds)))
	for _, k := range kinds {
		b = binary.BigEndian.AppendUint16(b, k)
	}
	return string(b)
}

// enter goes to the transmission phase.
func enter(t testing.TB, socket, name string, structured bool) *client {
	t.Helper()
	c := dial(t, socket)
	c.hello()
	if structured {
		c.option(optStructuredReply, "")
		c.expect(repAck)
	}
	c.option(optGo, infoData(name))
	for {
		if kind, data := c.reply(); kind == repAck {
			return c
		} else if kind != repInfo {
			t.Fatalf("GO: %#x %q", kind, data)
		}
	}
}

func (c *client) request(flags, kind uint16, cookie, offset uint64, length uint32, data string) {
	c.t.Helper()
	c.put(uint32(magicRequest), flags, kind, cookie, offset, length, data)
}

// simple reads a simple reply with n bytes of data if there is no error.
func (c *client) simple(cookie uint64, n int) (uint32, []byte) {
	c.t.Helper()
	b := c.want(16)
	if binary.BigEndian.Uint32(b) != magicSimple || binary.BigEndian.Uint64(b[8:]) != cookie {
		c.t.Fatalf("reply %x, want cookie %d", b, cookie)
	}
	if e := binary.BigEndian.Uint32(b[4:]); e != 0 {
		return e, nil
	}
	return 0, c.want(n)
}

func (c *client) ok(cookie uint64, n int) []byte {
	c.t.Helper()
	e, data := c.simple(cookie, n)
	if e != 0 {
		c.t.Fatalf("request %d failed with %d", cookie, e)
	}
	return data
}

func (c *client) closed() {
	c.t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, context.DeadlineExceeded) || err == nil {
		c.t.Errorf("the connection is still open: %d bytes, %v", n, err)
	}
}

func TestHandshake(t *testing.T) {
	a := &volume{name: "a", d: memory.New(1<<20, 512)}
	b := &volume{name: "b", d: memory.New(2<<20, 4096)}
	socket := serve(t, Config{Exports: exports{a, b}})
	c := dial(t, socket)
	c.hello()
	c.option(optList, "")
	for _, want := range []string{"\x00\x00\x00\x01a", "\x00\x00\x00\x01b"} {
		if got := c.expect(repServer); string(got) != want {
			t.Errorf("listed %q, want %q", got, want)
		}
	}
	c.expect(repAck)
	c.option(optList, "x")
	c.expect(repErrInvalid)
	c.option(optStartTLS, "")
	c.expect(repErrPolicy)
	c.option(4711, "what is it")
	c.expect(repErrUnsup)
	c.option(optInfo, "short")
	c.expect(repErrInvalid)
	c.option(optInfo, infoData("c"))
	if why := c.expect(repErrUnknown); !bytes.Contains(why, []byte(`"c"`)) {
		t.Errorf("the refusal %q doesn't name the volume", why)
	}
	c.option(optGo, infoData("")) // there are two
	c.expect(repErrUnknown)
	c.option(optStructuredReply, string(make([]byte, 100<<10)))
	c.expect(repErrTooBig)
	c.option(optInfo, infoData("b", infoName, infoBlockSize))
	if got := c.expect(repInfo); binary.BigEndian.Uint64(got[2:]) != 2<<20 || binary.BigEndian.Uint16(got[10:])&(flagFlush|flagFUA|flagTrim|flagZeroes|flagMultiConn|flagFastZero) == 0 {
		t.Errorf("export: %x", got)
	}
	if got := c.expect(repInfo); string(got[2:]) != "b" {
		t.Errorf("name: %q", got)
	}
	if got := c.expect(repInfo); !bytes.Equal(got, []byte{0, 3, 0, 0, 16, 0, 0, 0, 16, 0, 0, 16, 0, 0}) {
		t.Errorf("block sizes: %v", got)
	}
	c.expect(repAck)
	c.option(optAbort, "")
	c.expect(repAck)
	c.closed()
	if len(a.opened)+len(b.opened) != 0 {
		t.Error("asking opened a volume")
	}
}

func TestExportName(t *testing.T) {
	v := &volume{name: "a", d: memory.New(1<<20, 512)}
	socket := serve(t, Config{Exports: exports{v}})
	c := dial(t, socket)
	c.want(18)
	c.put(uint32(1)) // wants the zeroes
	c.option(optExportName, "a")
	if b := c.want(134); binary.BigEndian.Uint64(b) != 1<<20 {
		t.Errorf("size: %x", b[:8])
	}
	c.request(0, cmdRead, 1, 0, 512, "")
	c.ok(1, 512)
	c.request(0, cmdDisc, 2, 0, 0, "")
	c.closed()
	bad := dial(t, socket)
	bad.hello()
	bad.option(optExportName, "b")
	bad.closed()
}

func TestBadHandshakesAreCut(t *testing.T) {
	socket := serve(t, Config{Exports: exports{{name: "a", d: memory.New(1<<20, 512)}}, HandshakeTimeout: 200 * time.Millisecond})
	for what, data := range map[string]string{
		"unknown flags":      "\x80\x00\x00\x03",
		"a wrong magic":      "\x00\x00\x00\x03IHAVEOPS\x00\x00\x00\x03\x00\x00\x00\x00",
		"an endless option":  "\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x03\xff\xff\xff\xff",
		"nothing more":       "\x00\x00\x00\x03IHAVEOPT\x00\x00",
		"one byte at a time": "\x00",
	} {
		t.Run(what, func(t *testing.T) {
			c := dial(t, socket)
			c.want(18)
			c.put(data)
			c.closed()
		})
	}
}

// recorder notes what reaches the device.
type recorder struct {
	*memory.Device
	mu  sync.Mutex
	got []block.Request
}

func (r *recorder) Submit(batch []*block.Request) {
	r.mu.Lock()
	for _, q := range batch {
		r.got = append(r.got, block.Request{Op: q.Op, Flags: q.Flags, Offset: q.Offset, Length: q.Size()})
	}
	r.mu.Unlock()
	r.Device.Submit(batch)
}

func TestCommandsReachTheDevice(t *testing.T) {
	d := &recorder{Device: memory.New(1<<20, 512)}
	v := &volume{name: "a", d: d}
	c := enter(t, serve(t, Config{Exports: exports{v}}), "a", false)
	data := string(bytes.Repeat([]byte("ab"), 2048))
	c.request(cmdFUA, cmdWrite, 1, 4096, 4096, data)
	c.ok(1, 0)
	c.request(0, cmdFlush, 2, 0, 0, "")
	c.ok(2, 0)
	c.request(cmdFUA, cmdTrim, 3, 8192, 512, "")
	c.ok(3, 0)
	c.request(cmdNoHole|cmdFastZero, cmdZeroes, 4, 4096, 1024, "")
	c.ok(4, 0)
	c.request(cmdFUA, cmdRead, 5, 4096, 4096, "") // FUA means nothing, and is allowed
	if got := c.ok(5, 4096); string(got) != string(make([]byte, 1024))+data[1024:] {
		t.Error("read other than written")
	}
	want := []block.Request{
		{Op: block.Write, Flags: block.FUA, Offset: 4096, Length: 4096},
		{Op: block.Flush},
		{Op: block.Discard, Flags: block.FUA, Offset: 8192, Length: 512},
		{Op: block.Zero, Flags: block.KeepAllocated | block.Fast, Offset: 4096, Length: 1024},
		{Op: block.Read, Offset: 4096, Length: 4096},
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.got) != len(want) {
		t.Fatalf("the device got %d requests, want %d", len(d.got), len(want))
	}
	for i, w := range want {
		if g := d.got[i]; g.Op != w.Op || g.Flags != w.Flags || g.Offset != w.Offset || g.Length != w.Length {
			t.Errorf("request %d: %+v, want %+v", i, g, w)
		}
	}
}

func TestBadRequests(t *testing.T) {
	v := &volume{name: "a", d: memory.New(1<<20, 512)}
	c := enter(t, serve(t, Config{Exports: exports{v}}), "a", false)
	block512 := string(make([]byte, 512))
	for i, bad := range []struct {
		what   string
		flags  uint16
		kind   uint16
		offset uint64
		length uint32
		data   string
		errno  uint32
	}{
		{"an unknown command", 0, 99, 0, 512, "", errnoInval},
		{"a cache command that isn't offered", 0, 5, 0, 512, "", errnoInval},
		{"an unknown flag", 1 << 9, cmdRead, 0, 512, "", errnoInval},
		{"DF without structured replies", cmdDF, cmdRead, 0, 512, "", errnoInval},
		{"a read beyond the end", 0, cmdRead, 1 << 20, 512, "", errnoInval},
		{"a read at the end of all", 0, cmdRead, 1<<64 - 512, 512, "", errnoInval},
		{"a write beyond the end", 0, cmdWrite, 1<<20 - 256, 512, block512, errnoInval},
		{"a write over the end", 0, cmdWrite, 1<<20 - 512, 1024, block512 + block512, errnoNoSpace},
		{"an odd write", 0, cmdWrite, 0, 3, "abc", errnoInval},
		{"nothing to read", 0, cmdRead, 0, 0, "", errnoInval},
		{"more than 32 MiB", 0, cmdRead, 0, 33 << 20, "", errnoInval},
		{"a flush of a place", 0, cmdFlush, 512, 0, "", errnoInval},
	} {
		cookie := uint64(100 + i)
		c.request(bad.flags, bad.kind, cookie, bad.offset, bad.length, bad.data)
		if e, _ := c.simple(cookie, 0); e != bad.errno {
			t.Errorf("%s: error %d, want %d", bad.what, e, bad.errno)
		}
	}
	c.request(0, cmdRead, 1, 0, 512, "") // and it goes on
	c.ok(1, 512)
	c.request(0, cmdWrite, 2, 0, 33<<20, "")
	c.closed()
	c = enter(t, serve(t, Config{Exports: exports{v}}), "a", false)
	c.put("garbage garbage garbage garbage garbage")
	c.closed()
}

func TestErrorsOfTheDevice(t *testing.T) {
	d := memory.New(1<<20, 512)
	v := &volume{name: "a", d: d}
	socket := serve(t, Config{Exports: exports{v}})
	plain, structured := enter(t, socket, "a", false), enter(t, socket, "a", true)
	for err, want := range map[error]uint32{
		block.ErrIO: errnoIO, block.ErrGone: errnoIO, block.ErrSpace: errnoNoSpace, block.ErrRefused: errnoIO,
		block.ErrReserved: errnoPerm, block.ErrNotSupported: errnoNotSup, block.ErrClosed: errnoShutdown,
	} {
		d.Fail(func(*block.Request) error { return err })
		plain.request(0, cmdRead, 1, 0, 512, "")
		if e, _ := plain.simple(1, 512); e != want {
			t.Errorf("%v: error %d, want %d", err, e, want)
		}
		structured.request(0, cmdRead, 2, 0, 512, "")
		b := structured.want(26)
		if binary.BigEndian.Uint16(b[6:]) != chunkError || binary.BigEndian.Uint16(b[4:]) != chunkDone || binary.BigEndian.Uint32(b[20:]) != want {
			t.Errorf("%v: structured %x", err, b)
		}
	}
	d.Fail(func(*block.Request) error { return block.ErrNotSupported })
	plain.request(0, cmdTrim, 3, 0, 512, "")
	plain.ok(3, 0) // a hint that nobody takes
}

// TestLargerThanAPiece: the pool's pieces have 1 MiB; a client that doesn't know
// may send more.
func TestLargerThanAPiece(t *testing.T) {
	d := memory.New(8<<20, 512)
	v := &volume{name: "a", d: d}
	socket := serve(t, Config{Exports: exports{v}})
	data := make([]byte, 3<<20+512)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	c := enter(t, socket, "a", false)
	c.request(cmdFUA, cmdWrite, 1, 512, uint32(len(data)), string(data))
	c.ok(1, 0)
	c.request(0, cmdRead, 2, 512, uint32(len(data)), "")
	if !bytes.Equal(c.ok(2, len(data)), data) {
		t.Error("a large read returned other content")
	}
	s := enter(t, socket, "a", true)
	s.request(0, cmdRead, 3, 512, uint32(len(data)), "")
	got := make([]byte, len(data))
	for done := false; !done; {
		b := s.want(28)
		done = binary.BigEndian.Uint16(b[4:])&chunkDone != 0
		n, at := int(binary.BigEndian.Uint32(b[16:]))-8, int(binary.BigEndian.Uint64(b[20:]))-512
		copy(got[at:], s.want(n))
	}
	if !bytes.Equal(got, data) {
		t.Error("a large structured read returned other content")
	}
	// The second piece of a read fails: too late for an error in words.
	d.Fail(func(r *block.Request) error {
		if r.Offset >= 1<<20 {
			return block.ErrIO
		}
		return nil
	})
	c.request(0, cmdWrite, 4, 0, uint32(len(data)), string(data))
	if e, _ := c.simple(4, 0); e != errnoIO {
		t.Errorf("a large write whose second piece fails: %d", e)
	}
	c.request(0, cmdRead, 5, 0, 3<<20, "")
	c.ok(5, 1<<20)
	c.closed()
}

// TestManyAtOnce keeps more requests under way than there are slots and memory.
func TestManyAtOnce(t *testing.T) {
	const n, size = 500, 32 << 10
	d := memory.New(n*size, 512)
	v := &volume{name: "a", d: d}
	c := enter(t, serve(t, Config{Exports: exports{v}, Depth: 16}), "a", false)
	go func() {
		for i := range n {
			h := binary.BigEndian.AppendUint32(nil, magicRequest)
			h = binary.BigEndian.AppendUint32(h, cmdWrite)
			h = binary.BigEndian.AppendUint64(h, uint64(i))
			h = binary.BigEndian.AppendUint64(h, uint64(i*size))
			h = binary.BigEndian.AppendUint32(h, size)
			if _, err := c.Write(append(h, bytes.Repeat([]byte{byte(i)}, size)...)); err != nil {
				return
			}
		}
	}()
	seen := make(map[uint64]bool)
	for range n {
		b := c.want(16)
		if e := binary.BigEndian.Uint32(b[4:]); e != 0 {
			t.Fatalf("error %d", e)
		}
		seen[binary.BigEndian.Uint64(b[8:])] = true
	}
	if len(seen) != n {
		t.Errorf("%d different replies of %d", len(seen), n)
	}
	content := d.Content()
	for i := range n {
		if content[i*size] != byte(i) || content[i*size+size-1] != byte(i) {
			t.Fatalf("write %d isn't where it belongs", i)
		}
	}
}

// TestStalledClientIsCut: a client that asks and doesn't read what it gets, and one
// that begins a request and doesn't end it.
func TestStalledClientIsCut(t *testing.T) {
	v := &volume{name: "a", d: memory.New(1<<20, 512)}
	socket := serve(t, Config{Exports: exports{v}, StallTimeout: 100 * time.Millisecond})
	deaf, half := enter(t, socket, "a", false), enter(t, socket, "a", false)
	half.request(0, cmdWrite, 1, 0, 4096, "only the beginning")
	half.closed()
	for i := range uint64(64) {
		if binary.Write(deaf, binary.BigEndian, struct {
			M    uint32
			F, K uint16
			C, O uint64
			L    uint32
		}{magicRequest, 0, cmdRead, i, 0, 512 << 10}) != nil {
			break
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		v.mu.Lock()
		open := v.open
		v.mu.Unlock()
		if open == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a client that doesn't read keeps its memory")
		}
	}
	other := enter(t, socket, "a", false)
	other.request(0, cmdRead, 1, 0, 512<<10, "")
	other.ok(1, 512<<10)
}

// TestCloseWaitsForWhatIsUnderWay: the session is closed after the last request.
func TestCloseWaitsForWhatIsUnderWay(t *testing.T) {
	d := memory.New(1<<20, 512)
	v := &volume{name: "a", d: d}
	c := enter(t, serve(t, Config{Exports: exports{v}}), "a", false)
	d.Hold()
	c.request(0, cmdWrite, 1, 0, 512, string(make([]byte, 512)))
	for deadline := time.Now().Add(10 * time.Second); d.Held() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the write didn't come")
		}
	}
	_ = c.Close()
	v.mu.Lock()
	open := v.open
	v.mu.Unlock()
	if open != 1 {
		t.Error("the session was closed with a request under way")
	}
	d.Release(nil)
}

func TestRefusedVolume(t *testing.T) {
	v := &volume{name: "a", d: memory.New(1<<20, 512), refuse: block.ErrRefused}
	enter(t, serve(t, Config{Exports: exports{v}}), "a", false).closed()
}

// quietDevice is a memory device whose writes allocate nothing.
type quietDevice struct{ *memory.Device }

func (q *quietDevice) Submit(batch []*block.Request) {
	for _, r := range batch {
		r.End(nil)
	}
}

func encodeHeader(kind uint16, cookie, offset uint64, length uint32) []byte {
	h := binary.BigEndian.AppendUint32(nil, magicRequest)
	h = binary.BigEndian.AppendUint16(h, 0)
	h = binary.BigEndian.AppendUint16(h, kind)
	h = binary.BigEndian.AppendUint64(h, cookie)
	h = binary.BigEndian.AppendUint64(h, offset)
	return binary.BigEndian.AppendUint32(h, length)
}
