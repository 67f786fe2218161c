// Package webserver is the protected service of the labs: nginx where it is
// installed, else a small HTTP server of our own.
//
// It owns configuration files and command lines; who starts the command is the
// business of the cluster under test. Every reply names its node in the header
// X-Node and in the body. Functions may be called concurrently.
//
// Start reading at webserver.go.
package webserver
