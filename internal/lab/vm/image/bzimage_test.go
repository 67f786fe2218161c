package image

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// bzImage makes one with a payload.
func bzImage(payload string, change func([]byte)) []byte {
	const sectors, offset = 2, 100
	b := make([]byte, (sectors+1)*bzSector+offset)
	b = append(append(b, payload...), "behind"...)
	b[bzSetupSectors] = sectors
	copy(b[bzMagic:], "HdrS")
	binary.LittleEndian.PutUint16(b[bzVersion:], 0x20f)
	binary.LittleEndian.PutUint32(b[bzPayloadOffset:], offset)
	binary.LittleEndian.PutUint32(b[bzPayloadLength:], uint32(len(payload)))
	if change != nil {
		change(b)
	}
	return b
}

func TestXZPayload(t *testing.T) {
	stream := string(xzMagic) + "stream"
	got, err := xzPayload(bzImage(stream+"size", nil))
	if err != nil || string(got) != stream {
		t.Errorf("%q %v", got, err)
	}
	for what, c := range map[string]struct {
		image []byte
		want  string
	}{
		"nothing":     {nil, "no bzImage"},
		"an ELF":      {bytes.Repeat([]byte("\x7fELF"), 1000), "no bzImage"},
		"old":         {bzImage(stream+"size", func(b []byte) { b[bzVersion+1] = 1 }), "version"},
		"gzip":        {bzImage("\x1f\x8b and some more", nil), "xz"},
		"too short":   {bzImage("xz", nil), "payload is"},
		"out of file": {bzImage(stream+"size", func(b []byte) { b[bzPayloadOffset+2] = 9 }), "payload is"},
		"huge":        {bzImage(stream+"size", func(b []byte) { copy(b[bzPayloadOffset:], "\xff\xff\xff\xff\xff\xff\xff\xff") }), "payload is"},
	} {
		if got, err := xzPayload(c.image); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q %v", what, got, err)
		}
	}
}

func FuzzXZPayload(f *testing.F) {
	f.Add(bzImage(string(xzMagic)+"streamsize", nil))
	f.Fuzz(func(t *testing.T, image []byte) {
		if payload, err := xzPayload(image); err == nil && !bytes.HasPrefix(payload, xzMagic) {
			t.Errorf("no xz stream: %q", payload)
		}
	})
}
