// Package pki is the cluster's own small certificate authority: certificates
// that say "I am node 7 of this cluster", the mutual verification of them, the
// static keys of heartbeats, and the tokens by which a new node joins.
//
// It owns the certificates' contents and life, the files that keep them, and
// the policy for wall clocks that are wrong (clock.go). It leaves to others who
// is a node of the cluster now: a certificate proves an identity and nothing
// more, and the list of nodes in the replicated state is what revokes one. It
// also leaves to others to remember used tokens; the cluster state holds only
// [SecretHash].
//
// [Authority] and [Leaf] are immutable, [Credentials] is safe for concurrent
// use, everything else is functions.
//
// Start reading at identity.go, then credentials.go.
package pki
