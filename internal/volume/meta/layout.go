package meta

import "fmt"

// Layout says where the parts are. Offsets count from the start of the area; the
// area ends with the device, or is the side file.
//
//	activity log | bitmap of copy 1 | … | bitmap of copy 8 | spare | superblock B | superblock A
type Layout struct {
	// Size is that of the area in bytes.
	Size int64
	// Activity is the offset of the log, with Transactions blocks of Block bytes.
	Activity     int64
	Transactions int
	// Bitmap is the offset of the first bitmap; each has Pages blocks.
	Bitmap int64
	Pages  int64
	// Superblocks are the offsets of A and B.
	Superblocks [2]int64
}

const (
	// transactions is the length of the ring. Two would do: one is written while
	// the other is whole. More spread the wear, and what is written twice in a
	// row doesn't wait for the same sector.
	transactions = 64
	// pageHeader is what precedes the bits of a page in bytes.
	pageHeader = 16
	// PageBits is how many blocks a page of a bitmap has.
	PageBits = (Block - pageHeader) * 8
	// areaUnit is what the area's size is a multiple of in bytes: so data end
	// where partitions are aligned.
	areaUnit = 1 << 20
)

// LayoutFor returns the layout for data of a size.
func LayoutFor(dataSize, blockSize int64) Layout {
	l := Layout{Transactions: transactions}
	l.Bitmap = transactions * Block
	l.Pages = (dataSize/blockSize + PageBits - 1) / PageBits
	end := l.Bitmap + Copies*l.Pages*Block + 2*Block
	l.Size = (end + areaUnit - 1) / areaUnit * areaUnit
	l.Superblocks = [2]int64{l.Size - Block, l.Size - 2*Block}
	return l
}

// BitmapOf is the offset of the bitmap of a copy, 1 to Copies.
func (l Layout) BitmapOf(number uint8) int64 { return l.Bitmap + int64(number-1)*l.Pages*Block }

// Fit is the largest size of data that leaves room for its own metadata on a
// device of a size.
func Fit(deviceSize, blockSize int64) (int64, error) {
	// The area grows with the data, so a few steps find it.
	data := deviceSize
	for range 8 {
		next := (deviceSize - LayoutFor(data, blockSize).Size) / blockSize * blockSize
		if next == data {
			break
		}
		data = next
	}
	for data > 0 && data+LayoutFor(data, blockSize).Size > deviceSize {
		data -= blockSize
	}
	if data < blockSize {
		return 0, fmt.Errorf("%d bytes leave no room for data beside the metadata", deviceSize)
	}
	return data, nil
}
