// Package echo asks whether a machine answers: by ICMP echo, or by a TCP port.
//
// An answer says that something at the address is powered and connected, not
// that anything on it works: a kernel answers while all programs stand still.
// It may be used concurrently. Start reading at echo.go.
package echo
