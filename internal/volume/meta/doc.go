// Package meta is what a copy of a volume keeps about itself: superblock,
// activity log and bitmaps, at the end of the backing device or in a side file.
// Data begin at offset 0 of the device and are left as they are.
//
// It owns the layout and the encoding of each part, and what is said when they
// are another volume's, another cluster's, a newer release's, or damaged. When
// what must be durable before what is decided by package volume; the writes
// in the data path are done by volume/server, which uses the offsets and
// encodings of this package with its own requests.
//
// An [Area] is used by one goroutine at a time; encoders and decoders are
// functions. Start reading at superblock.go, then area.go. The format:
// docs/formats.md.
package meta
