package api

// ReadEvents is for the fuzz test.
var ReadEvents = readEvents
