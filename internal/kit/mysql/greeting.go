package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// greet connects to a server and reads its first packet, which it sends when it
// can take clients: 3 bytes of length, a sequence number of 0, and protocol
// version 10, or 255 and an error such as "too many connections".
// Source: MySQL's "Protocol::HandshakeV10".
func greet(ctx context.Context, socket string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		c.SetDeadline(end)
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var head [5]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return fmt.Errorf("read the greeting: %w", err)
	}
	return parseGreeting(head)
}

func parseGreeting(head [5]byte) error {
	length := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	switch {
	case length < 1 || head[3] != 0:
		return errors.New("what answers is no server of MySQL's protocol")
	case head[4] == 255:
		return errors.New("the server refuses clients (too many connections?)")
	case head[4] != 10:
		return fmt.Errorf("what answers speaks version %d of the protocol, not 10", head[4])
	}
	return nil
}
