// Command volumebench measures the data path of volumes beside others, in the same
// run and in turns, because speeds on a shared machine move by a factor of two:
//
//	go run ./internal/lab/volumebench          the table, medians and shares of raw
//	go run ./internal/lab/volumebench -json    the same for machines
//
// Raw is the backing file by O_DIRECT and io_uring from this process. Ours is
// 'perdure volume-server' with one volume: metadata, activity log, NBD over a unix
// socket. qemu-nbd (cache=none) and nbdkit (file plugin, through the page cache, as it
// has no other way) are measured where they are installed. The load is this command's own: one
// connection, a fixed number of requests under way.
//
// Start reading at main_linux.go.
package main
