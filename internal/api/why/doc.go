// Package why tells how a hierarchy came to be where it is: what was observed
// by whom, which rule followed from it, what was ruled out, and what each phase
// cost.
//
// It owns the reading of the timeline: [Tell] cuts it into episodes, from the
// moment when a hierarchy was last in service to the moment when it was again,
// and a [Story] prints itself for a terminal in either language. It leaves the
// making of entries to those who decide.
//
// The package decides by its arguments alone and may be called concurrently.
// Times come from the wall clocks of the nodes that proposed the entries, so
// small ones may be wrong; that is said where it shows.
//
// Start reading at story.go, then tell.go and print.go.
package why
