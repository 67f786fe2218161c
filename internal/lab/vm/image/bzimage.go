package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Where a bzImage says what is in it (Documentation/x86/boot.rst). The payload
// fields came with version 2.08 of the protocol.
const (
	bzSetupSectors  = 0x1f1
	bzMagic         = 0x202
	bzVersion       = 0x206
	bzPayloadOffset = 0x248
	bzPayloadLength = 0x24c
	bzHeader        = 0x250
	bzSector        = 512
)

var xzMagic = []byte{0xfd, '7', 'z', 'X', 'Z', 0}

// xzPayload cuts the xz stream with the kernel proper out of a bzImage. What the
// kernel's build added behind the stream is the unpacked size, 4 bytes.
func xzPayload(image []byte) ([]byte, error) {
	if len(image) < bzHeader || !bytes.Equal(image[bzMagic:bzMagic+4], []byte("HdrS")) {
		return nil, errors.New("no bzImage: it has no setup header")
	}
	if v := binary.LittleEndian.Uint16(image[bzVersion:]); v < 0x208 {
		return nil, fmt.Errorf("a bzImage of version %#x, needed is 0x208", v)
	}
	sectors := int64(image[bzSetupSectors])
	if sectors == 0 {
		sectors = 4 // by the protocol
	}
	start := (sectors+1)*bzSector + int64(binary.LittleEndian.Uint32(image[bzPayloadOffset:]))
	length := int64(binary.LittleEndian.Uint32(image[bzPayloadLength:]))
	if start+length > int64(len(image)) || length < int64(len(xzMagic))+4 {
		return nil, fmt.Errorf("the bzImage's payload is %d bytes at %d, and the file has %d", length, start, len(image))
	}
	payload := image[start : start+length-4]
	if !bytes.HasPrefix(payload, xzMagic) {
		return nil, fmt.Errorf("the bzImage's payload isn't packed by xz: it begins with % x", payload[:6])
	}
	return payload, nil
}
