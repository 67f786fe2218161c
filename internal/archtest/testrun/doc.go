// Command testrun runs the project's tests and says what a person wants to
// know: a line for each package, the whole output of what failed, and at the
// end every test that was skipped with its reason.
//
// It runs go test -json, so its arguments are those of go test, and its exit
// status is that of go test. Packages matched by -alone start real nodes and
// measure time; they run after all others, one at a time. Reading the events is
// in report.go.
package main
