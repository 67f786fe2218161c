// Package client is the outside view of a protected service: a client that
// measures outage, probes that ask every node at its own door whether it
// answers, and a judge that decides from both what was lost and whether two
// nodes served at once.
//
// It owns its clock and its logs and believes nothing that a node says about
// itself except its name in a reply that arrived. It leaves the making of
// connections to the lab: a [Dial] opens one in the right place, to the service
// or past the address resolution to one chosen node.
//
// Client and Prober may be read while they run; Judge is a pure function.
//
// Start reading at attempt.go, then client.go, then judge.go.
package client
