package vm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/perdure-ha/perdure/internal/lab/estate"
)

const (
	// nasExport is the directory that it exports, on its own disk; clients of NFS
	// version 4 know it as the root.
	nasExport = "/var/lib/perdure/export"
	// nasGraceSeconds is for how long after a boot it waits for clients that held
	// locks before it. Least that the kernel takes: 10 s. Source: Linux,
	// fs/nfsd/nfsctl.c.
	nasGraceSeconds = 10
)

// NASAddr is the NAS's address, in the network of that name.
func NASAddr() netip.Addr { return ip4(networkIndex(NAS), hostNAS) }

// newNAS boots a machine whose kernel serves NFS.
func (l *Lab) newNAS(ctx context.Context) error {
	n := &Node{Name: nasName, lab: l, number: hostNAS, dir: filepath.Join(l.dir, nasName), host: l.hosts[len(l.hosts)-1],
		networks: []string{NAS}, group: estate.Group(filepath.Join(string(l.estate.Group), nasName))}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	n.disk = filepath.Join(n.dir, "state.raw")
	if err := makeDisk(ctx, n.stateDisk(), nasDiskMiB); err != nil {
		return err
	}
	l.nas = n
	if err := n.powerOn(ctx); err != nil {
		return err
	}
	return n.serveNFS(ctx)
}

// serveNFS exports a directory by the guest's kernel, versions 3 and 4.
func (n *Node) serveNFS(ctx context.Context) error {
	script := fmt.Sprintf(`set -e
mkdir -p %[1]s /run/rpcbind /var/lib/nfs/v4recovery
chmod 1777 %[1]s
modprobe nfsd
mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
echo %[2]d >/proc/fs/nfsd/nfsv4leasetime
echo %[2]d >/proc/fs/nfsd/nfsv4gracetime
rpcbind -w
exportfs -i -o rw,sync,no_subtree_check,no_root_squash,fsid=0 '*:%[1]s'
rpc.mountd
rpc.nfsd 4
`, nasExport, nasGraceSeconds)
	if _, err := n.Run(ctx, "sh", "-c", script); err != nil {
		return fmt.Errorf("serve NFS: %w", err)
	}
	return nil
}

// errNoStorage: a lab has SAN and NAS if it was asked to.
var errNoStorage = errors.New("this lab has no storage: lab up --storage")

// MountNAS mounts the NAS's directory on a node. options are those of mount -o;
// empty for ones that give up: an answer that doesn't come within about 10 s is EIO.
// Source: nfs(5).
func (n *Node) MountNAS(ctx context.Context, dir, options string) error {
	if n.lab.nas == nil {
		return errNoStorage
	}
	if options == "" {
		options = "vers=4.2,soft,timeo=30,retrans=2"
	}
	_, err := n.Run(ctx, "sh", "-c", fmt.Sprintf("modprobe nfsv4 && mkdir -p %[1]s && mount -t nfs -o %[2]s %[3]s:/ %[1]s", dir, options, NASAddr()))
	return err
}
