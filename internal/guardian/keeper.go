package guardian

import (
	"os"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/message"
)

// child is a running daemon.
type child interface {
	// terminate asks it to stop in order; kill doesn't ask.
	terminate() error
	kill() error
	// status is closed after how it ended was put into it.
	status() <-chan string
}

// keeper starts daemons, one after another, and tells the loop when one ends.
type keeper struct {
	c       Config
	s       *server
	spawner *spawner
	volumes *volumes

	mu       sync.Mutex
	daemon   child // nil: none runs
	stopping bool
	group    sync.WaitGroup
}

func newKeeper(c Config, s *server) *keeper {
	k := &keeper{c: c, s: s, spawner: newSpawner()}
	k.volumes = newVolumes(c, k.spawner)
	return k
}

// start starts a daemon. The loop calls it, so it must not wait for the loop.
func (k *keeper) start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopping {
		return
	}
	began := time.Now()
	d, l, err := k.spawner.spawn(k.c, k.c.Daemon, daemonGroup)
	if err != nil {
		k.s.log.Error(message.New(message.DaemonStartFailed, err).Error())
		k.group.Go(func() { k.s.submit(request{ev: guard.DaemonGone{}}) })
		return
	}
	conn := k.s.attach(l)
	k.daemon = d
	k.group.Go(func() {
		how := <-d.status()
		conn.close()
		<-conn.done
		k.ended(how, time.Since(began))
	})
}

func (k *keeper) ended(how string, ran time.Duration) {
	k.mu.Lock()
	k.daemon = nil
	stopping := k.stopping
	k.mu.Unlock()
	if stopping {
		return
	}
	k.s.log.Warn("the daemon ended and is started again", "status", how, "ran", ran)
	k.s.submit(request{ev: guard.DaemonGone{Ran: ran}})
}

// stop asks the daemon to stop in order, and ends the loop when it has: what it
// left is killed, or handed over if the cluster agreed.
func (k *keeper) stop() {
	k.mu.Lock()
	k.stopping = true
	d := k.daemon
	k.mu.Unlock()
	if d != nil {
		k.end(d)
	}
	k.group.Wait()
	// After what uses volumes has been stopped by the daemon.
	k.volumes.close()
	k.s.submit(request{ev: guard.ShuttingDown{}})
}

func (k *keeper) end(d child) {
	if err := d.terminate(); err != nil {
		k.s.log.Warn("the daemon can't be asked to stop", "error", err)
	}
	limit := time.NewTimer(k.c.StopTimeout)
	defer limit.Stop()
	ended := make(chan struct{})
	go func() {
		k.group.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-limit.C:
		k.s.log.Error("the daemon didn't stop in time and is killed", "after", k.c.StopTimeout)
		_ = d.kill()
		<-ended
	}
}

// close ends what was started and has not ended, when the loop could not go on.
func (k *keeper) close() {
	k.mu.Lock()
	k.stopping = true
	d := k.daemon
	k.mu.Unlock()
	if d != nil {
		_ = d.kill()
	}
	k.group.Wait()
	k.volumes.close()
	k.spawner.close()
}

// environ is the daemon's: it finds the connection by it.
func environ(fd string) []string { return append(os.Environ(), FDVariable+"="+fd) }

// FDVariable names the environment variable with the file descriptor for [Dial].
const FDVariable = "PERDURE_GUARDIAN_FD"
