// Package front is what stands between a volume and those who use it as a disk:
// the one interface that every frontend (NBD now, iSCSI later) serves from.
//
// It owns identity of initiators, sessions, changes of size, and the rules of
// SCSI-3 persistent reservations; it keeps no state of its own. Protocols are in
// packages beside it, the data path behind it in volume/server.
//
// Start reading at volume.go.
package front
