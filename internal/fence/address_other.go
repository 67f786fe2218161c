//go:build !linux

package fence

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
)

func removeAddress(addr netip.Addr, device string) error {
	return fmt.Errorf("remove %v from %s on %s: %w", addr, device, runtime.GOOS, errors.ErrUnsupported)
}
