//go:build !linux

package main

import "github.com/perdure-ha/perdure/internal/cli"

// lab is of Linux only.
func lab() *cli.Lab { return nil }
