//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "volumebench is of Linux only")
	os.Exit(1)
}
