// Package ip is the kit that keeps an IP address in service: it adds the
// address to a device, tells the neighbours where it is now, and watches that
// it stays there and nobody else answers for it.
//
// It owns the address on this node's devices, the announcements (gratuitous ARP
// and unsolicited neighbour advertisement), the duplicate check, the move to a
// backup device, and the watch for link and gateway. It leaves to the guardian's
// address gate that the address answers only while the lease lives: the gate
// must cover it before Start. Announcements leave by a packet socket and don't
// pass the gate, so nothing is announced before Start or after Stop.
//
// Concurrency is that of kit.Resource.
//
// Start reading at kit.go, then ip.go and service.go; frames are in arp.go and
// ndp.go.
package ip
