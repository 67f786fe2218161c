package meta

import (
	"bytes"
	"encoding/binary"
)

// signatureSize is how much of a device's start is looked at in bytes.
const signatureSize = 128 << 10

// fileSystem names what begins at the start of a device and how many bytes it
// says that it has; "" if it is none of those that are known. It is to prevent a
// volume whose metadata lie in a file system.
func fileSystem(b []byte) (kind string, size int64) {
	le, be := binary.LittleEndian, binary.BigEndian
	const ext, btrfs = 1024, 64 << 10
	switch {
	// Source: fs/ext4/ext4.h, struct ext4_super_block.
	case le.Uint16(b[ext+0x38:]) == 0xef53 && le.Uint32(b[ext+0x18:]) <= 6:
		blocks := uint64(le.Uint32(b[ext+4:]))
		if le.Uint32(b[ext+0x60:])&0x80 != 0 { // 64bit
			blocks |= uint64(le.Uint32(b[ext+0x150:])) << 32
		}
		return "ext2/3/4", times(blocks, 1024<<le.Uint32(b[ext+0x18:]))
	// Source: fs/xfs/libxfs/xfs_format.h, struct xfs_dsb.
	case string(b[:4]) == "XFSB":
		return "XFS", times(be.Uint64(b[8:]), uint64(be.Uint32(b[4:])))
	// Source: fs/btrfs, struct btrfs_super_block.
	case bytes.Equal(b[btrfs+0x40:btrfs+0x48], []byte("_BHRfS_M")):
		return "Btrfs", times(le.Uint64(b[btrfs+0x70:]), 1)
	// Sectors in the boot sector; NTFS has a copy of it behind them.
	case string(b[3:11]) == "NTFS    ":
		return "NTFS", times(le.Uint64(b[0x28:])+1, uint64(le.Uint16(b[11:])))
	// Source: UEFI 2.10, 5.3.2: the backup of the table is at the end.
	case string(b[512:520]) == "EFI PART":
		return "a GPT partition table", times(le.Uint64(b[512+32:])+1, 512)
	case string(b[512:520]) == "LABELONE" && string(b[536:544]) == "LVM2 001":
		return "LVM", times(le.Uint64(b[512+32+32:]), 1)
	}
	return "", 0
}

func times(a, b uint64) int64 {
	if b != 0 && a > sizeMost/b {
		return sizeMost
	}
	return int64(a * b)
}
