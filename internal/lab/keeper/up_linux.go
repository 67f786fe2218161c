package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/estate"
	"github.com/perdure-ha/perdure/internal/message"
)

const (
	// socketWait bounds the wait for a keeper that was just started to answer.
	socketWait = 20 * time.Second
	// pollEvery is how often we look for what doesn't tell by itself.
	pollEvery = 50 * time.Millisecond
)

// Up starts a keeper of this program and waits until the service of its lab
// answers. If ctx ends before, so does the lab. In the foreground it stays until
// ctx ends.
func Up(ctx context.Context, p Person, c Config, binary string, foreground bool) error {
	if err := c.Check(); err != nil {
		return err
	}
	began := time.Now()
	at := defaultPlace()
	if err := usable(c); err != nil {
		// That another one is up matters more than the memory that it takes.
		if other := at.refusal(); other != nil {
			return other
		}
		return err
	}
	lock, err := at.claim(p)
	if err != nil {
		return err
	}
	if foreground {
		return upHere(ctx, p, at, lock, c, OpenMachines(binary), began)
	}
	keeper, err := start(at, lock, c, binary)
	lock.Close() // it has its own
	if err != nil {
		return err
	}
	return follow(ctx, p, at, keeper, began)
}

// claim locks the place, and removes what an earlier lab left there.
func (p place) claim(person Person) (*os.File, error) {
	lock, err := p.lock()
	if errors.Is(err, errLocked) {
		if other := p.refusal(); other != nil {
			return nil, other
		}
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(p.file(recordFile)); errors.Is(err, fs.ErrNotExist) {
		return lock, nil
	}
	who, _ := p.read() // damaged: then without the process
	person.note("stale", who.PID)
	removed, err := p.sweep(who)
	for _, path := range removed {
		person.note("down-removed", path)
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// refusal says which lab is up, or nil.
func (p place) refusal() error {
	locked, err := p.locked()
	if err != nil {
		return err
	}
	if !locked {
		return nil
	}
	who, err := p.read()
	if err != nil {
		return message.New(message.LabStarting)
	}
	return message.New(message.LabIsUp, who.Config.Nodes, who.Config.Kind, who.Since.Local().Format("2006-01-02 15:04:05"), who.PID)
}

// sweep removes what labs of dead processes left, but the lock, and says what.
func (p place) sweep(who record) (removed []string, err error) {
	mount, err := estate.Mount()
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{mount, os.TempDir()} {
		stale, err := estate.Stale(dir)
		if err != nil {
			return removed, err
		}
		removed = append(removed, stale...)
	}
	err = estate.RemoveStale(mount, os.TempDir())
	// It may have had another place for its files.
	if who.Dir != "" && !estate.Alive(lastName(who.Dir)) {
		err = errors.Join(err, os.RemoveAll(who.Dir))
	}
	for _, name := range []string{recordFile, recordFile + ".new", socketFile, logFile} {
		rest := os.Remove(p.file(name))
		if rest == nil {
			removed = append(removed, p.file(name))
		} else if !errors.Is(rest, fs.ErrNotExist) {
			err = errors.Join(err, rest)
		}
	}
	if err != nil {
		return removed, message.New(message.LabLeft, err.Error())
	}
	return removed, nil
}

func lastName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// start starts the keeper: in a session of its own, so that a Ctrl-C or the end of
// the terminal isn't its end.
func start(p place, lock *os.File, c Config, binary string) (*exec.Cmd, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the keeper's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(binary, "lab", "keep", string(text))
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock} // becomes lockFD
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the keeper: %w", err)
	}
	return cmd, nil
}

// follow waits for the keeper's lab and shows it.
func follow(ctx context.Context, p Person, at place, keeper *exec.Cmd, began time.Time) error {
	died := make(chan error, 1)
	go func() { died <- keeper.Wait() }()
	asked := dial(at.socket())
	if err := at.awaitSocket(ctx, died); err != nil {
		if ctx.Err() == nil {
			return err
		}
		_ = keeper.Process.Signal(syscall.SIGTERM)
		<-died
		return interrupted(at, p)
	}
	way := showWay(p)
	last, err := asked.follow(ctx, "GET", pathProgress, way.step)
	way.close()
	switch {
	case ctx.Err() != nil:
		p.note("interrupted")
		if _, err := asked.follow(context.WithoutCancel(ctx), "POST", pathDown, nil); err != nil {
			_ = keeper.Process.Signal(syscall.SIGTERM)
		}
		<-died
		return interrupted(at, p)
	case err != nil:
		how := <-died
		return message.New(message.LabKeeperDied, fmt.Sprint(how), at.lastWords())
	case last.Phase == Failing:
		<-died
		return failed(last.Failure)
	case last.Phase == Closed: // by lab down, say
		<-died
		return message.New(message.LabInterrupted)
	}
	return arrived(ctx, p, asked, began)
}

// interrupted: the keeper ended, and what it made with it.
func interrupted(at place, p Person) error {
	// One that was killed in the middle leaves its record.
	if lock, err := at.claim(p); err == nil {
		err = at.clear()
		lock.Close()
		if err != nil {
			return err
		}
	}
	return message.New(message.LabInterrupted)
}

// awaitSocket waits until the keeper answers.
func (p place) awaitSocket(ctx context.Context, died chan error) error {
	ctx, cancel := context.WithTimeout(ctx, socketWait)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		if conn, err := dial(p.socket()).connect(ctx); err == nil {
			return conn.Close()
		}
		select {
		case how := <-died:
			died <- how
			return message.New(message.LabKeeperDied, fmt.Sprint(how), p.lastWords())
		case <-ctx.Done():
			return message.New(message.LabKeeperDied, context.Cause(ctx).Error(), p.lastWords())
		case <-ticker.C:
		}
	}
}

// lastWords are the end of the keeper's log.
func (p place) lastWords() string {
	const most = 500
	text, _ := os.ReadFile(p.log()) // none says nothing
	words := strings.Join(strings.Fields(string(text)), " ")
	return words[max(0, len(words)-most):]
}

// arrived shows the lab that is in service.
func arrived(ctx context.Context, p Person, asked *caller, began time.Time) error {
	look, err := asked.look(ctx)
	if err != nil {
		return err
	}
	if p.JSON {
		return writeJSON(p.Out, look)
	}
	p.table(look)
	if look.Service != nil {
		fmt.Fprintln(p.Out)
		p.print("in-service", time.Since(began).Seconds(), strings.TrimSuffix(look.Service.Address, ":80"), look.Service.Node)
	}
	if look.Config.Nodes < 3 {
		p.print("two-nodes")
	}
	p.next()
	return nil
}

// upHere keeps the lab in this process.
func upHere(ctx context.Context, p Person, at place, lock *os.File, c Config, open Open, began time.Time) error {
	ended := make(chan error, 1)
	go func() { ended <- keep(ctx, at, lock, c, open) }()
	if err := at.awaitSocket(context.WithoutCancel(ctx), ended); err != nil {
		return err
	}
	asked := dial(at.socket())
	way := showWay(p)
	last, err := asked.follow(context.WithoutCancel(ctx), "GET", pathProgress, way.step)
	way.close()
	switch {
	case err != nil:
		return errors.Join(err, <-ended)
	case last.Phase == Failing:
		<-ended
		return failed(last.Failure)
	case last.Phase == Closed:
		return errors.Join(message.New(message.LabInterrupted), <-ended)
	}
	if err := arrived(ctx, p, asked, began); err != nil && ctx.Err() == nil {
		return err
	}
	p.note("foreground")
	return <-ended
}
