// Command freeze measures what a guest knows of time after it was stopped.
package main

import (
	"fmt"
	"os"

	"github.com/perdure-ha/perdure/internal/lab/vm/tinyguest"
)

func main() {
	if os.Getpid() == 1 {
		tinyguest.Main()
	}
	fmt.Println("measure")
}
