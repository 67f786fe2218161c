// Package fault is the one vocabulary of what can go wrong: power loss, a
// frozen userland, cut networks, killed and hung processes, lost state.
//
// A [Fault] is a value with one printed form, which [Parse] reads back, so that
// scenario tables, command lines and reports say the same thing. A lab carries
// faults out; it implements the interfaces of target.go that it is able to, and
// [Apply] says by [ErrUnsupported] what it isn't. The process lab implements
// all of them; a lab of virtual machines implements the same ones.
//
// Values are plain data. Apply may be called concurrently if the lab allows it.
//
// Start reading at kind.go (the words), then target.go (what a lab must do).
package fault
