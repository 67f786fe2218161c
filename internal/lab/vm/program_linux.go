package vm

import (
	"debug/elf"
	"fmt"
)

// checkStatic refuses a program that can't be a guest's first: one that wants
// libraries, which an initrd doesn't have.
func checkStatic(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return fmt.Errorf("look into %s, which the guests shall run: %w", program, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s was built with cgo and wants libraries that guests don't have: make build", program)
		}
	}
	return nil
}
