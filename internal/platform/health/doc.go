// Package health looks at the machine under a node: processor, memory, disk
// space, links and the gateway. A standby whose disk is full is no standby, and
// nothing else looks there until it is needed.
//
// [Sampler] measures, [Judge] decides what has been bad for long enough to be
// worth a word. Nothing here waits for a disk that doesn't answer. A Sampler and
// a Judge are for one goroutine each. Start reading at judge.go.
package health
