package keeper

import (
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// atTerminal gives the session the person's terminal, if they sit at one at both
// ends: raw, so that every key reaches the program. restore gives it back.
func atTerminal(p Person, s *Session) (restore func(), err error) {
	in, out := terminal(p.In), terminal(p.Out)
	if in == nil || out == nil {
		return func() {}, nil
	}
	before, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("look at the terminal: %w", err)
	}
	raw := *before
	// As cfmakeraw(3) does.
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(in.Fd()), unix.TCSETS, &raw); err != nil {
		return nil, fmt.Errorf("make the terminal raw: %w", err)
	}
	first := sizeOf(out)
	s.Terminal = &first
	sizes := make(chan Size)
	s.Sizes = sizes
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, unix.SIGWINCH)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-changes:
				select {
				case sizes <- sizeOf(out):
				case <-done:
					return
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(changes)
		close(done)
		_ = unix.IoctlSetTermios(int(in.Fd()), unix.TCSETS, before)
	}, nil
}

// terminal is the file, if it is one.
func terminal(stream any) *os.File {
	f, ok := stream.(*os.File)
	if !ok {
		return nil
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return f
}

// sizeOf is the terminal's size, or the usual one.
func sizeOf(f *os.File) Size {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Row == 0 || size.Col == 0 {
		return Size{Rows: 24, Columns: 80}
	}
	return Size{Rows: size.Row, Columns: size.Col}
}

// IsTerminal reports whether a person looks at w.
func IsTerminal(w io.Writer) bool { return terminal(w) != nil }
