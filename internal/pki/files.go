package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/durable"
)

// The files of a node. A certificate and its key share one file, so that a
// crash between two writes can't leave a pair that doesn't match.
const (
	AuthorityFile = "authority.pem" // CA certificate and key; only where the CA is held
	CAFile        = "ca.pem"        // CA certificate
	NodeFile      = "node.pem"      // this node's certificate and key
	HeartbeatFile = "heartbeat.pem" // this node's static X25519 key
)

const (
	blockCert = "CERTIFICATE"
	blockKey  = "PRIVATE KEY"
	// maxFile bounds what is read: the largest of them has about 1.5 KiB.
	maxFile = 64 << 10
)

// Save writes the CA with its key to dir.
func (a *Authority) Save(dir string) error {
	return savePair(filepath.Join(dir, AuthorityFile), a.Cert, a.key)
}

// LoadAuthority reads what [Authority.Save] wrote.
func LoadAuthority(dir string) (*Authority, error) {
	path := filepath.Join(dir, AuthorityFile)
	cert, key, err := loadPair(path)
	if err != nil {
		return nil, err
	}
	if !cert.IsCA || len(cert.URIs) != 1 || cert.URIs[0].Scheme != scheme {
		return nil, unreadable(path, errors.New("not a cluster's CA"))
	}
	id := cert.URIs[0].Host
	if err := CheckClusterID(id); err != nil {
		return nil, unreadable(path, err)
	}
	if !matches(cert, key) {
		return nil, unreadable(path, errors.New("certificate and key don't belong together"))
	}
	return &Authority{Cluster: id, Cert: cert, key: key}, nil
}

// SaveCA writes the CA's certificate to dir.
func SaveCA(dir string, ca *x509.Certificate) error {
	return replaceFile(filepath.Join(dir, CAFile), encode(blockCert, ca.Raw))
}

// LoadCA reads what [SaveCA] wrote.
func LoadCA(dir string) (*x509.Certificate, error) {
	path := filepath.Join(dir, CAFile)
	blocks, err := loadBlocks(path, blockCert)
	if err != nil {
		return nil, err
	}
	ca, err := x509.ParseCertificate(blocks[0])
	if err == nil && !ca.IsCA {
		err = errors.New("not a CA")
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	return ca, nil
}

// Save writes the node's certificate and key to dir.
func (l *Leaf) Save(dir string) error {
	return savePair(filepath.Join(dir, NodeFile), l.Cert, l.key)
}

// LoadLeaf reads what [Leaf.Save] wrote.
func LoadLeaf(dir string) (*Leaf, error) {
	path := filepath.Join(dir, NodeFile)
	cert, key, err := loadPair(path)
	if err != nil {
		return nil, err
	}
	l, err := NewLeaf(cert, key)
	if err != nil {
		return nil, unreadable(path, err)
	}
	return l, nil
}

// SaveHeartbeatKey writes the node's static key to dir.
func SaveHeartbeatKey(dir string, k *ecdh.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return fmt.Errorf("encode the heartbeat key: %w", err)
	}
	return replaceFile(filepath.Join(dir, HeartbeatFile), encode(blockKey, der))
}

// LoadHeartbeatKey reads what [SaveHeartbeatKey] wrote.
func LoadHeartbeatKey(dir string) (*ecdh.PrivateKey, error) {
	path := filepath.Join(dir, HeartbeatFile)
	blocks, err := loadBlocks(path, blockKey)
	if err != nil {
		return nil, err
	}
	k, err := x509.ParsePKCS8PrivateKey(blocks[0])
	if err != nil {
		return nil, unreadable(path, err)
	}
	x, ok := k.(*ecdh.PrivateKey)
	if !ok || x.Curve() != ecdh.X25519() {
		return nil, unreadable(path, fmt.Errorf("holds a %T, want an X25519 key", k))
	}
	return x, nil
}

func savePair(path string, cert *x509.Certificate, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key for %s: %w", path, err)
	}
	return replaceFile(path, append(encode(blockCert, cert.Raw), encode(blockKey, der)...))
}

func loadPair(path string) (*x509.Certificate, crypto.Signer, error) {
	blocks, err := loadBlocks(path, blockCert, blockKey)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(blocks[0])
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	k, err := x509.ParsePKCS8PrivateKey(blocks[1])
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	key, ok := k.(crypto.Signer)
	if !ok {
		return nil, nil, unreadable(path, fmt.Errorf("a %T can't sign", k))
	}
	return cert, key, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// loadBlocks reads a PEM file that has exactly the blocks of these kinds.
func loadBlocks(path string, kinds ...string) ([][]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%d bytes are too many", info.Size())
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	blocks, err := splitPEM(rest, kinds)
	if err != nil {
		return nil, unreadable(path, err)
	}
	return blocks, nil
}

func splitPEM(rest []byte, kinds []string) ([][]byte, error) {
	var blocks [][]byte
	for _, kind := range kinds {
		var b *pem.Block
		b, rest = pem.Decode(rest)
		if b == nil {
			return nil, fmt.Errorf("no %s in it, or it is damaged", kind)
		}
		if b.Type != kind {
			return nil, fmt.Errorf("found %s, want %s", b.Type, kind)
		}
		blocks = append(blocks, b.Bytes)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("something follows the last block")
	}
	return blocks, nil
}

func unreadable(path string, err error) error {
	return message.New(message.KeyFileUnreadable, path).Wrap(err)
}

// replaceFile writes a file that only this user can read (0600; on Windows, who
// the directory's access list names).
func replaceFile(path string, data []byte) error {
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the directory of %s: %w", path, err)
	}
	return durable.WriteFile(path, data, 0o600)
}
