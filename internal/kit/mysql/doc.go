// Package mysql is the kit for a MariaDB or MySQL server with its data on a disk
// that moves with the hierarchy.
//
// It owns starting the server in the resource's own group and waiting until it
// greets clients, its orderly stop, and a deep check that queries. It leaves the
// disk and the address to other resources of the hierarchy, and replication
// between servers to the server.
//
// Concurrency is that of kit.Resource.
//
// Start reading at kit.go, then server.go and greeting.go.
package mysql
