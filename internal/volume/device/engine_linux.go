package device

import "github.com/perdure-ha/perdure/internal/message"

func newEngine(h *handle, o Options) (engine, Engine, error) {
	if o.Engine != EngineWorkers {
		r, err := newRing(h, o.Depth, o.Inline)
		switch {
		case err == nil:
			return r, EngineRing, nil
		case o.Engine == EngineRing:
			return nil, "", message.New(message.VolumeDeviceUnusable, h.path, err).Wrap(err)
		}
	}
	return newWorkers(h, o.Depth), EngineWorkers, nil
}
