package mysql

import "testing"

func TestGreeting(t *testing.T) {
	for head, good := range map[[5]byte]bool{{0x5b, 0, 0, 0, 10}: true, {0x17, 0, 0, 0, 255}: false, {0x5b, 0, 0, 0, 9}: false,
		{0, 0, 0, 0, 10}: false, {'H', 'T', 'T', 'P', '/'}: false, {}: false} {
		if err := parseGreeting(head); (err == nil) != good {
			t.Errorf("%v: %v", head, err)
		}
	}
}
