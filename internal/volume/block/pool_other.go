//go:build !linux

package block

// takeMemory takes it from Go's heap, aligned by hand.
func takeMemory(size int) ([]byte, func() error, error) {
	m := make([]byte, size+Unit)
	skip := int(-address(m) & (Unit - 1))
	return m[skip : skip+size : skip+size], func() error { return nil }, nil
}
