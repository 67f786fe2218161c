package commpath

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// pair is what two nodes share: the secret of their static keys, and the names
// that go into every key made from it.
type pair struct {
	clusterID string
	secret    []byte
	// keys are the public keys by owner.
	keys map[cluster.NodeID][32]byte
}

// direction makes the sealer of one direction of one session. Both ends make
// the same from their own private and the other's public key. Every name that
// tells two streams apart is in the key, so that no two ever share a nonce:
// seq starts at 1 in each and is never used twice.
func (p *pair) direction(sender, receiver cluster.NodeID, s session) (*sealer, error) {
	info := append([]byte("perdure heartbeat 1\x00"), p.clusterID...)
	info = append(info, 0)
	info = binary.BigEndian.AppendUint64(info, uint64(sender))
	info = binary.BigEndian.AppendUint64(info, uint64(receiver))
	info = append(info, s[:]...)
	for _, id := range []cluster.NodeID{sender, receiver} {
		k := p.keys[id]
		info = append(info, k[:]...)
	}
	key, err := hkdf.Key(sha256.New, p.secret, []byte(p.clusterID), string(info), 32)
	if err != nil {
		return nil, fmt.Errorf("derive the heartbeat key from %v to %v: %w", sender, receiver, err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("heartbeat cipher from %v to %v: %w", sender, receiver, err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("heartbeat cipher from %v to %v: %w", sender, receiver, err)
	}
	return &sealer{aead: aead}, nil
}

// sealer seals or opens the packets of one direction of one session. It is not
// safe for concurrent use.
type sealer struct {
	aead cipher.AEAD
	// nonce is kept here because what goes through an interface is allocated.
	nonce [12]byte
}

var errAuth = errors.New("not authentic")

// seal encrypts packet[headerSize:] in place, with the header authenticated, and
// returns the packet with its tag. The packet's capacity must have room.
func (s *sealer) seal(packet []byte, seq uint64) []byte {
	binary.BigEndian.PutUint64(s.nonce[4:], seq)
	sealed := s.aead.Seal(packet[headerSize:headerSize], s.nonce[:], packet[headerSize:], packet[:headerSize])
	return packet[:headerSize+len(sealed)]
}

// open decrypts a packet in place and returns the plaintext. The packet is
// destroyed when it isn't authentic.
func (s *sealer) open(packet []byte, seq uint64) ([]byte, error) {
	binary.BigEndian.PutUint64(s.nonce[4:], seq)
	plain, err := s.aead.Open(packet[headerSize:headerSize], s.nonce[:], packet[headerSize:], packet[:headerSize])
	if err != nil || len(plain) < bodySize {
		return nil, errAuth
	}
	return plain, nil
}
