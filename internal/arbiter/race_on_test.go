//go:build race

package arbiter

// underRace: everything takes ten times as long.
const underRace = true
