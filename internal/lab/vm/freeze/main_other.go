//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "freeze: the VM lab runs on Linux only")
	os.Exit(1)
}
