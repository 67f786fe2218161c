package pki

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Identity is who a certificate speaks for.
type Identity struct {
	Cluster string
	Node    cluster.NodeID
	// Name is what people call the node. It is for them, and for programs that
	// check a host name; between nodes only Cluster and Node count.
	Name string
}

// scheme of the URI that carries an identity: perdure://CLUSTER/node/7.
const scheme = "perdure"

var (
	// A cluster id is the host part of a URI and goes into key derivation, so
	// it has one spelling only.
	clusterID = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	nodeName  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
)

// CheckClusterID reports why id can't name a cluster, or nil.
func CheckClusterID(id string) error {
	if !clusterID.MatchString(id) {
		return fmt.Errorf("cluster id %q: want 1 to 63 of a-z, 0-9 and inner dashes", id)
	}
	return nil
}

func (id Identity) check() error {
	if err := CheckClusterID(id.Cluster); err != nil {
		return err
	}
	if id.Node == 0 {
		return fmt.Errorf("identity in cluster %s: node id 0 is no node", id.Cluster)
	}
	if id.Name == apiName {
		return fmt.Errorf("node name %q: it stands for every node's API", id.Name)
	}
	if !nodeName.MatchString(id.Name) {
		return fmt.Errorf("node name %q: want 1 to 63 letters, digits and inner . _ -", id.Name)
	}
	return nil
}

func (id Identity) uri() *url.URL {
	return &url.URL{Scheme: scheme, Host: id.Cluster, Path: "/node/" + strconv.FormatUint(uint64(id.Node), 10)}
}

// String is the identity as it stands in the certificate.
func (id Identity) String() string { return id.uri().String() }

// identityOf reads the identity of a certificate. It doesn't verify it.
func identityOf(cert *x509.Certificate) (Identity, error) {
	if len(cert.URIs) != 1 {
		return Identity{}, fmt.Errorf("certificate of %q has %d URIs, want one", cert.Subject.CommonName, len(cert.URIs))
	}
	u := cert.URIs[0]
	digits, ok := strings.CutPrefix(u.Path, "/node/")
	node, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil {
		return Identity{}, fmt.Errorf("certificate URI %q doesn't name a node", u)
	}
	id := Identity{Cluster: u.Host, Node: cluster.NodeID(node), Name: cert.Subject.CommonName}
	if err := id.check(); err != nil {
		return Identity{}, fmt.Errorf("certificate URI %q: %w", u, err)
	}
	// One identity has one spelling; anything else (a port, a query, 007) is
	// not ours.
	if id.String() != u.String() {
		return Identity{}, fmt.Errorf("certificate URI %q: want %q", u, id)
	}
	return id, nil
}
