package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

// The test binary plays other programs when it is called by their arguments.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case webserver.Argument:
			os.Exit(webserver.Main(os.Args[2]))
		case "guardian":
			standInGuardian()
		case "daemon":
			select {}
		case "crash":
			crashWithLab()
		}
	}
	goleak.VerifyTestMain(m)
}

// standInGuardian has the shape of perdure: it restarts its daemon and ends by
// SIGTERM.
func standInGuardian() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	for {
		daemon := exec.Command(os.Args[0], "daemon")
		if err := daemon.Start(); err != nil {
			os.Exit(1)
		}
		ended := make(chan error, 1)
		go func() { ended <- daemon.Wait() }()
		select {
		case <-stop:
			_ = daemon.Process.Kill()
			<-ended
			os.Exit(0)
		case <-ended:
		}
	}
}

// newLab makes a lab that the test closes, and checks that nothing stays.
func newLab(t *testing.T, opts Options) *Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the process lab needs root for namespaces and cgroups")
	}
	began := time.Now()
	lab, err := New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("lab set up in %v", time.Since(began))
	t.Cleanup(func() {
		began := time.Now()
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
		t.Logf("lab closed in %v", time.Since(began))
		for _, path := range []string{lab.dir, string(lab.cg)} {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left behind (%v)", path, err)
			}
		}
	})
	return lab
}

// toy is a cluster that does what the test says: a web server on every node
// and an address that the test moves.
type toy struct {
	*Lab
	t      *testing.T
	client *client.Client
	prober *client.Prober
}

func newToy(t *testing.T, opts Options) *toy {
	t.Helper()
	lab := newLab(t, opts)
	server, err := webserver.Find()
	if err != nil {
		t.Fatal(err)
	}
	argv, err := lab.UseWeb("web", server, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range lab.Nodes() {
		if _, err := n.Start("web", argv...); err != nil {
			t.Fatal(err)
		}
	}
	clock := client.NewClock()
	c := &toy{Lab: lab, t: t,
		client: client.Start(client.Config{Clock: clock, Dial: lab.Dial, Interval: 5 * time.Millisecond}),
		prober: client.StartProber(client.ProberConfig{Clock: clock, Doors: lab.Doors()}),
	}
	t.Cleanup(c.client.Stop)
	t.Cleanup(c.prober.Stop)
	ctx, cancel := context.WithCancel(context.Background())
	watching := make(chan error, 1)
	go func() { watching <- lab.WatchARP(ctx, clock, 20*time.Millisecond, c.prober.Add) }()
	t.Cleanup(func() {
		cancel()
		if err := <-watching; err != nil {
			t.Error(err)
		}
	})
	c.take("n1")
	c.serves("n1")
	return c
}

// take puts the address on a node and announces it.
func (c *toy) take(name string) {
	c.t.Helper()
	n, err := c.Node(name)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := n.Run(c.t.Context(), "ip", "addr", "add", c.VIP().String(), "dev", "eth0"); err != nil {
		c.t.Fatal(err)
	}
	c.announce(n)
}

// announce sends a gratuitous ARP.
func (c *toy) announce(n *Node) {
	c.t.Helper()
	broadcast := net.HardwareAddr{255, 255, 255, 255, 255, 255}
	err := n.space.Do(func() error {
		fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		frame := client.ARPRequest(broadcast, eth0.HardwareAddr, c.VIP().Addr(), c.VIP().Addr())
		return syscall.Sendto(fd, frame, 0, &syscall.SockaddrLinklayer{Ifindex: eth0.Index})
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// drop takes the address from a node.
func (c *toy) drop(name string) {
	c.t.Helper()
	n, err := c.Node(name)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := n.Run(c.t.Context(), "ip", "addr", "del", c.VIP().String(), "dev", "eth0"); err != nil {
		c.t.Fatal(err)
	}
}

// serves waits until a node answers the client.
func (c *toy) serves(node string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	if _, err := c.client.WaitGood(ctx, c.client.Clock().Now(), node); err != nil {
		log, _ := os.ReadFile(filepath.Join(c.dir, node, "log", "web.log"))
		c.t.Fatalf("%v; log: %s", err, log)
	}
}

// until polls a condition for at most 10 seconds.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// pass lets time go by: what is measured is what happens meanwhile.
func pass(d time.Duration) { <-time.After(d) }

// crashWithLab makes a lab with a process and dies without any cleaning.
func crashWithLab() {
	lab, err := New(context.Background(), Options{Nodes: []string{"n1"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if _, err := lab.nodes[0].Start("sleep", "setsid", "sleep", "300"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(lab.dir, string(lab.cg))
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
