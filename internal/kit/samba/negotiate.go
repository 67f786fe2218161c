package samba

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// negotiate asks a server for SMB 2 or 3, as every client does first. No
// account is needed, and a server that hangs takes the connection and says
// nothing. Source: [MS-SMB2] 2.1, 2.2.1.2, 2.2.3, 2.2.4.
func negotiate(ctx context.Context, address string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		c.SetDeadline(end)
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.Write(request()); err != nil {
		return fmt.Errorf("send the negotiation: %w", err)
	}
	var answer [4 + 64 + 8]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return parseAnswer(answer[:])
}

var dialects = []uint16{0x0202, 0x0210, 0x0300, 0x0302}

func request() []byte {
	b := make([]byte, 4+64+36, 4+64+36+2*len(dialects))
	h := b[4:] // after the length of the transport
	copy(h, "\xfeSMB")
	le := binary.LittleEndian
	le.PutUint16(h[4:], 64) // size of the header
	le.PutUint16(h[14:], 1) // credits wanted; command 0 is negotiate
	n := h[64:]
	le.PutUint16(n[0:], 36) // size of the request
	le.PutUint16(n[2:], uint16(len(dialects)))
	le.PutUint16(n[4:], 1)           // signing enabled
	copy(n[12:], "perdure check id") // client GUID
	for _, d := range dialects {
		b = le.AppendUint16(b, d)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func parseAnswer(b []byte) error {
	if len(b) < 4+64+8 || string(b[4:8]) != "\xfeSMB" {
		return errors.New("what answers is no SMB server")
	}
	le := binary.LittleEndian
	if status := le.Uint32(b[4+8:]); status != 0 {
		return fmt.Errorf("the server refuses the negotiation with status %#x", status)
	}
	if command := le.Uint16(b[4+12:]); command != 0 {
		return fmt.Errorf("the server answers another command (%d)", command)
	}
	return nil
}
