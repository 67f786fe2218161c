// Package model holds the Promela model of leases, acknowledgements, promises
// and evictions (lease.pml) and the test that has spin check it. It has no code
// that the product uses. Start with README.md.
package model
