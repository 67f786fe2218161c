// Package postgresql is the kit for a PostgreSQL server with its data on a disk
// that moves with the hierarchy.
//
// It owns starting and stopping by pg_ctl in the server's own modes, what a
// postmaster.pid from another node or another boot means, and a deep check that
// queries. It leaves the disk and the address to other resources of the
// hierarchy, and replication between servers to PostgreSQL: the server that is in
// service is a primary.
//
// Concurrency is that of kit.Resource.
//
// Start reading at kit.go, then server.go and pidfile.go.
package postgresql
