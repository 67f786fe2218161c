package pki

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
)

// NewHeartbeatKey makes a node's static X25519 key. Its public half goes into
// the cluster state; from both, each pair of nodes derives the keys of its
// heartbeats.
func NewHeartbeatKey() (*ecdh.PrivateKey, error) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the heartbeat key: %w", err)
	}
	return k, nil
}

// HeartbeatPublic is the public half in the form that the cluster state keeps.
func HeartbeatPublic(k *ecdh.PrivateKey) [32]byte { return [32]byte(k.PublicKey().Bytes()) }
