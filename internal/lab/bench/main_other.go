//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "the bench needs Linux and root: nodes live in network namespaces")
	os.Exit(1)
}
