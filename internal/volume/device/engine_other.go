//go:build !linux

package device

import "github.com/perdure-ha/perdure/internal/message"

func newEngine(h *handle, o Options) (engine, Engine, error) {
	if o.Engine == EngineRing {
		return nil, "", message.New(message.VolumeDeviceUnusable, h.path, "io_uring is Linux's")
	}
	return newWorkers(h, o.Depth), EngineWorkers, nil
}
