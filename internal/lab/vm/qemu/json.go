package qemu

import "encoding/json"

// jsonText is a value as QEMU's command line takes it. Maps are printed in the
// order of their keys.
func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings, booleans and maps always print
	}
	return string(text)
}
