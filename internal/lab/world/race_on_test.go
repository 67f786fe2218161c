//go:build race

package world

// underRace: everything takes ten times as long.
const underRace = true
