package fence

import "net/netip"

// RemoveAddress takes an address off its device, or off every device that has
// it if device is empty. An address or a device that isn't there is no error.
func RemoveAddress(addr netip.Addr, device string) error { return removeAddress(addr, device) }
