// Package libvirt is the kit for a virtual machine that libvirt runs on the node
// where its hierarchy is in service.
//
// It owns starting and stopping by virsh, the judgement of a domain's states,
// and that libvirt doesn't start it by itself. It leaves disks to other
// resources of the hierarchy, and live migration to people: a switchover stops
// the machine and starts it elsewhere.
//
// Concurrency is that of kit.Resource.
//
// Start reading at kit.go, then domain.go.
package libvirt
