package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// dropInDir is where units get settings that end with the boot.
const dropInDir = "/run/systemd/system"

// holdText keeps systemd from restarting what the cluster watches: two who
// restart the same thing disturb each other, and after a takeover it must stay
// stopped.
const holdText = "# Made by Perdure: the cluster restarts this unit.\n[Service]\nRestart=no\n"

// systemdManager speaks to systemd over D-Bus. Each call has a connection of
// its own: it happens once a second at most, and a bus that was restarted is
// then no special case.
// Source: org.freedesktop.systemd1(5).
type systemdManager struct {
	dial    func(context.Context) (*systemd.Conn, error)
	dropIns string
	log     *slog.Logger
}

func system(log *slog.Logger) manager {
	return systemdManager{dial: systemd.NewSystemConnectionContext, dropIns: dropInDir, log: log}
}

// fullName is a unit's name with its ending.
func fullName(unit string) string {
	for _, ending := range []string{".service", ".socket", ".target", ".timer", ".mount", ".path", ".slice", ".scope", ".device", ".automount", ".swap"} {
		if strings.HasSuffix(unit, ending) {
			return unit
		}
	}
	return unit + ".service"
}

func (m systemdManager) with(ctx context.Context, f func(*systemd.Conn) error) error {
	c, err := m.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect to systemd: %w", err)
	}
	defer c.Close()
	return f(c)
}

// Look implements manager.
func (m systemdManager) Look(ctx context.Context, unit string) (State, error) {
	var st State
	err := m.with(ctx, func(c *systemd.Conn) error {
		p, err := c.GetUnitPropertiesContext(ctx, unit)
		if err != nil {
			return fmt.Errorf("ask systemd about %s: %w", unit, err)
		}
		st = State{Loaded: text(p["LoadState"]), Active: text(p["ActiveState"]), Sub: text(p["SubState"])}
		switch text(p["UnitFileState"]) {
		case "enabled", "enabled-runtime", "linked", "linked-runtime":
			st.Enabled = strings.HasPrefix(text(p["UnitFileState"]), "enabled")
		}
		if st.Loaded != "loaded" || !strings.HasSuffix(unit, ".service") {
			return nil
		}
		// The rest is for people and the guardian; a unit may just be going.
		if s, err := c.GetUnitTypePropertiesContext(ctx, unit, "Service"); err == nil {
			st.Result, st.Group = text(s["Result"]), text(s["ControlGroup"])
		}
		return nil
	})
	return st, err
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// Start implements manager.
func (m systemdManager) Start(ctx context.Context, unit string) (string, error) {
	return m.job(ctx, "start", unit, (*systemd.Conn).StartUnitContext)
}

// Stop implements manager.
func (m systemdManager) Stop(ctx context.Context, unit string) (string, error) {
	return m.job(ctx, "stop", unit, (*systemd.Conn).StopUnitContext)
}

func (m systemdManager) job(ctx context.Context, what, unit string, call func(*systemd.Conn, context.Context, string, string, chan<- string) (int, error)) (string, error) {
	result := ""
	err := m.with(ctx, func(c *systemd.Conn) error {
		done := make(chan string, 1)
		if _, err := call(c, ctx, unit, "replace", done); err != nil {
			return fmt.Errorf("%s %s: %w", what, unit, err)
		}
		select {
		case result = <-done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%s %s: systemd isn't done: %w", what, unit, ctx.Err())
		}
	})
	return result, err
}

// Kill implements manager.
func (m systemdManager) Kill(ctx context.Context, unit string) error {
	return m.with(ctx, func(c *systemd.Conn) error {
		if err := c.KillUnitWithTarget(ctx, unit, systemd.All, int32(unix.SIGKILL)); err != nil {
			return fmt.Errorf("kill %s: %w", unit, err)
		}
		return nil
	})
}

// Manual implements manager.
func (m systemdManager) Manual(ctx context.Context, unit string) (bool, error) {
	st, err := m.Look(ctx, unit)
	if err != nil || !st.Enabled {
		return false, err
	}
	return true, m.with(ctx, func(c *systemd.Conn) error {
		// As systemctl disable does: what lasts, and what is for this boot.
		for _, runtime := range []bool{false, true} {
			if _, err := c.DisableUnitFilesContext(ctx, []string{unit}, runtime); err != nil {
				return fmt.Errorf("disable %s: %w", unit, err)
			}
		}
		return reload(ctx, c)
	})
}

// Hold implements manager.
func (m systemdManager) Hold(ctx context.Context, unit string) error {
	if !strings.HasSuffix(unit, ".service") {
		return nil
	}
	dir := filepath.Join(m.dropIns, unit+".d")
	path := filepath.Join(dir, "50-perdure.conf")
	if b, err := os.ReadFile(path); err == nil && string(b) == holdText {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(holdText), 0o644); err != nil {
		return err
	}
	return m.with(ctx, func(c *systemd.Conn) error { return reload(ctx, c) })
}

func reload(ctx context.Context, c *systemd.Conn) error {
	if err := c.ReloadContext(ctx); err != nil {
		return fmt.Errorf("have systemd read its units again: %w", err)
	}
	return nil
}

// Forget implements manager.
func (m systemdManager) Forget(ctx context.Context, unit string) error {
	return m.with(ctx, func(c *systemd.Conn) error {
		if err := c.ResetFailedUnitContext(ctx, unit); err != nil {
			return fmt.Errorf("reset the failure of %s: %w", unit, err)
		}
		return nil
	})
}

// watchRetry is how long it takes until a lost bus is tried again.
const watchRetry = time.Second

// Watch implements manager: it outlives a restart of the bus or of systemd.
func (m systemdManager) Watch(ctx context.Context, unit string, changed func()) error {
	for {
		err := m.listen(ctx, unit, changed)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.log.Warn("systemd can't be listened to; trying again, and asking meanwhile", "unit", unit, "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchRetry):
		}
	}
}

func (m systemdManager) listen(ctx context.Context, unit string, changed func()) error {
	return m.with(ctx, func(c *systemd.Conn) error {
		// Bounded; when it is full go-systemd drops a signal and says so, and
		// whatever comes next makes us look.
		updates, errs := make(chan *systemd.PropertiesUpdate, 256), make(chan error, 1)
		c.SetPropertiesSubscriber(updates, errs)
		if err := c.Subscribe(); err != nil {
			return fmt.Errorf("subscribe to changes: %w", err)
		}
		changed() // what happened before
		alive := time.NewTicker(watchRetry)
		defer alive.Stop()
		for {
			select {
			case u := <-updates:
				if u.UnitName == unit && concerns(u.Changed) {
					changed()
				}
			case <-errs:
				changed()
			case <-alive.C:
				if !c.Connected() {
					return errors.New("the bus closed the connection")
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}

// concerns reports whether a change can mean another health. Units with
// accounting change their counters often.
func concerns(changed map[string]dbus.Variant) bool {
	for _, p := range []string{"ActiveState", "SubState", "LoadState", "UnitFileState", "Result"} {
		if _, there := changed[p]; there {
			return true
		}
	}
	return false
}
