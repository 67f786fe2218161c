// Package operator is the person at the command line of a lab: it founds and
// changes clusters by perdure's own commands and reads its status, whatever kind
// of machine the nodes are.
//
// All knowledge of perdure's command line that labs share is here. It decides
// nothing about faults and knows no scenario. Methods may be called one at a
// time.
//
// Start reading at cluster.go, then status.go.
package operator
