// Package resident keeps a process that runs for years small.
//
// A start needs far more than what follows: tables for the command line, for
// texts, for the API. The collector keeps their garbage until the heap has grown,
// and pages of the program that were read once stay in its mapping, which the
// guardian then locks in memory.
package resident

// percent is the collector's setting after the start. Its smallest heap is 4 MiB ×
// percent/100; an idle daemon fills these 2 MiB in some ten seconds, and a
// collection takes about a millisecond.
const percent = 50
