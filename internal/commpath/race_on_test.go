//go:build race

package commpath

// largeMessage: the race detector makes TLS slower than the slowest line that a
// connection bears, and what is under way when it ends is lost.
const largeMessage = 512 << 10
