// Package image makes what the lab's virtual machines boot: a read-only root
// file system of Debian packages, a kernel for each kind of machine, the modules
// that an initrd must load before the root can be mounted, and the initrd.
//
// [Make] builds once and keeps the result in a directory named for its inputs
// (recipe, packages, versions of the kernels); when one of them changes the next
// call builds anew. [WriteInitrd] packs a program as the first process. [Missing]
// says what the host lacks and which command brings it.
//
// The package owns its cache directory and nothing else: commands run in
// namespaces of their own that end with them, so that neither a cancelled build
// nor a killed one leaves a process or a mount, and the next builder removes what
// was half done. It boots nothing, that is packages uml and qemu, and it doesn't
// know the program in the initrd, that is the agent's.
//
// Everything may be called concurrently, also from several processes: builders
// wait for each other.
//
// Start reading at image.go, then make_linux.go and recipe/.
package image
