// Package uml runs machines of the lab by user-mode-linux: a kernel that is a
// process. They boot in about two seconds of processor and need no virtualization.
// They have one processor, and no live migration.
//
// It owns the process and its files; networks, images and the guest's agent are
// others'. Linux only.
//
// Start reading at machine_linux.go. Source: Linux,
// Documentation/virt/uml/user_mode_linux_howto_v2.rst.
package uml
