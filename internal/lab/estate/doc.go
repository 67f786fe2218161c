// Package estate is what a lab owns on the machine that it runs on: a name that no
// other lab has, a directory, a cgroup for all its processes, and a janitor who
// removes all of it however the lab's process dies.
//
// What labs of dead processes left is removed by the next claim. What is in the
// cgroup and the directory is the lab's business. Methods may be called one at a
// time. Linux only: it needs cgroup v2.
//
// Start reading at estate_linux.go.
package estate
