// Package archtest holds the project's own rules as tests: which package may
// import which, what keeps the pure packages pure, and the habits of the house
// (package docs, file size, no sleeping tests, a reason for each dependency).
//
// It owns rules that need only the source as text; what needs types is left to
// go vet and staticcheck. Each rule has a snippet that breaks it, so that a
// rule which stopped working is noticed. There is nothing to call.
//
// Start reading at layers_test.go (the table of packages), then
// purity_test.go.
package archtest
