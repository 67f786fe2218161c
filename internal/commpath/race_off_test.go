//go:build !race

package commpath

// largeMessage is the largest that may be sent.
const largeMessage = MaxMessage
