//go:build !linux && !windows

package service

import "log/slog"

func system(*slog.Logger) manager { return nil }

func fullName(unit string) string { return unit }
