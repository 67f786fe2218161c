package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"syscall"
)

// interrupts end the watching of an operation, not the operation.
var interrupts = []os.Signal{os.Interrupt, syscall.SIGTERM}

// printJSONLine writes one object on one line, for streams.
func (a *app) printJSONLine(v any) error {
	enc := json.NewEncoder(a.term.Out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}
