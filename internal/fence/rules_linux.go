package fence

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Offsets in the headers. ARP for Ethernet and IPv4: RFC 826; IPv4: RFC 791;
// IPv6: RFC 8200; neighbour discovery: RFC 4861 section 4.3, 4.4.
const (
	arpLengths, arpSender, arpTarget = 4, 14, 24
	ip4Source, ip4Destination        = 12, 16
	ip6Source, ip6Destination        = 8, 24
	ndTarget                         = 8
	ndSolicit, ndAdvertise           = 135, 136
	loopbackType                     = 772 // ARPHRD_LOOPBACK
	// metaTimeNS is NFT_META_TIME_NS of linux/netfilter/nf_tables.h (5.4).
	metaTimeNS = 30
)

// match selects packets of a service address: conditions that must hold, then
// where the address is.
type match struct {
	v6      bool
	when    []expr.Any
	address expr.Any // into register 1
	// unless is the address of a sender that may pass all the same.
	unless expr.Any
}

func network(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

func transport(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length}
}

func meta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: 1} }

func equal(data ...byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }

// ofFamily selects a network protocol. In the netdev family that is the frame's
// type, in inet the family of the hook.
func ofFamily(family nftables.TableFamily, v6 bool) []expr.Any {
	if family == nftables.TableFamilyINet {
		if v6 {
			return []expr.Any{meta(expr.MetaKeyNFPROTO), equal(unix.NFPROTO_IPV6)}
		}
		return []expr.Any{meta(expr.MetaKeyNFPROTO), equal(unix.NFPROTO_IPV4)}
	}
	if v6 {
		return []expr.Any{meta(expr.MetaKeyPROTOCOL), equal(0x86, 0xdd)}
	}
	return []expr.Any{meta(expr.MetaKeyPROTOCOL), equal(0x08, 0x00)}
}

// ofARP selects ARP for Ethernet and IPv4. The arp family sees nothing else.
func ofARP(family nftables.TableFamily) []expr.Any {
	lengths := []expr.Any{network(arpLengths, 2), equal(6, 4)}
	if family == nftables.TableFamilyARP {
		return lengths
	}
	return append([]expr.Any{meta(expr.MetaKeyPROTOCOL), equal(0x08, 0x06)}, lengths...)
}

func ofND(family nftables.TableFamily, kind byte) []expr.Any {
	return append(ofFamily(family, true),
		meta(expr.MetaKeyL4PROTO), equal(unix.IPPROTO_ICMPV6),
		transport(0, 1), equal(kind))
}

// ip selects packets by the address at an offset of the IP header.
func ip(family nftables.TableFamily, at4, at6 uint32) []match {
	return []match{
		{when: ofFamily(family, false), address: network(at4, 4)},
		{v6: true, when: ofFamily(family, true), address: network(at6, 16)},
	}
}

// incoming is what asks for a service address or is sent to it. The
// announcement of another owner (sender and target are the service address)
// passes, so that this node as a client learns where the address went.
// Solicitations go to a multicast address, so the target in them counts.
func incoming(family nftables.TableFamily) []match {
	var out []match
	if family != nftables.TableFamilyINet {
		out = append(out, match{when: ofARP(family), address: network(arpTarget, 4), unless: network(arpSender, 4)})
	}
	if family == nftables.TableFamilyARP {
		return out
	}
	out = append(out, ip(family, ip4Destination, ip6Destination)...)
	return append(out, match{v6: true, when: ofND(family, ndSolicit), address: transport(ndTarget, 16)})
}

// outgoing is what a service address sends or what claims it: also the probe
// for a duplicate, which comes from no address and would make the new owner
// give its address up.
func outgoing(family nftables.TableFamily) []match {
	var out []match
	if family != nftables.TableFamilyINet {
		out = append(out, match{when: ofARP(family), address: network(arpSender, 4)})
	}
	if family == nftables.TableFamilyARP {
		return out
	}
	out = append(out, ip(family, ip4Source, ip6Source)...)
	probe := append(ofND(family, ndSolicit), network(ip6Source, 16), equal(make([]byte, 16)...))
	return append(out,
		match{v6: true, when: ofND(family, ndAdvertise), address: transport(ndTarget, 16)},
		match{v6: true, when: probe, address: transport(ndTarget, 16)})
}

// notLoopback excludes the machine's own traffic to its address.
func notLoopback(key expr.MetaKey) []expr.Any {
	return []expr.Any{meta(key), &expr.Cmp{Op: expr.CmpOpNeq, Register: 1,
		Data: binaryutil.NativeEndian.PutUint16(loopbackType)}}
}

// rules of a match: past the wall-clock deadline it is dropped by the chain
// late, and where the address isn't open it is dropped at once.
func (m match) rules(t *table, when []expr.Any) [][]expr.Any {
	guarded, open := t.guarded4, t.open4
	if m.v6 {
		guarded, open = t.guarded6, t.open6
	}
	head := append([]expr.Any{}, when...)
	head = append(head, m.when...)
	if m.unless != nil {
		head = append(head, m.unless, in(guarded, true))
	}
	head = append(head, m.address, in(guarded, false))
	late := append(append([]expr.Any{}, head...), &expr.Verdict{Kind: expr.VerdictJump, Chain: lateChain})
	shut := append(append([]expr.Any{}, head...), in(open, true), &expr.Verdict{Kind: expr.VerdictDrop})
	return [][]expr.Any{late, shut}
}

func in(s *nftables.Set, not bool) expr.Any {
	return &expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID, Invert: not}
}

// pastWall drops what comes after a time of the wall clock (ns since 1970).
func pastWall(ns int64) []expr.Any {
	return []expr.Any{
		meta(metaTimeNS),
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 8, Size: 8},
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: binaryutil.BigEndian.PutUint64(uint64(ns))},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}
