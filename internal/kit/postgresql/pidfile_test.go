package postgresql

import "testing"

func TestParsePidFile(t *testing.T) {
	f, err := parsePidFile([]byte("4918\n/srv/pg/data\n1764291829\n5433\n/var/run/postgresql\nlocalhost\n  5432001    32768\nready   \n"))
	if err != nil || f != (pidFile{4918, 5433, "/var/run/postgresql", "localhost", "ready"}) {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err := parsePidFile([]byte("4918\n/srv")); err != nil || f.port != 0 || f.pid != 4918 {
		t.Errorf("while it starts: %+v, %v", f, err)
	}
	for _, bad := range []string{"", "x\n", "1\n", "0\n", "\n\n"} {
		if _, err := parsePidFile([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if postmaster(1, "/") {
		t.Error("process 1 is taken for a server")
	}
}

func FuzzPidFile(f *testing.F) {
	f.Add([]byte("4918\n/srv/pg/data\n1764291829\n5433\n/tmp\nlocalhost\n1 2\nready\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parsePidFile(b); err == nil && (p.pid < 2 || p.port < 0 || p.port > 65535) {
			t.Fatalf("%+v", p)
		}
	})
}

func TestShellWords(t *testing.T) {
	if got := shellWords([]string{"-c", "a='b c'", "$(x)"}); got != `'-c' 'a='\''b c'\''' '$(x)'` {
		t.Error(got)
	}
}
