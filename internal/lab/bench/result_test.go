package main

import (
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, x := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(x.values); got != x.want {
			t.Errorf("median of %v is %v, want %v", x.values, got, x.want)
		}
	}
}

func TestTable(t *testing.T) {
	values := ms([]time.Duration{time.Second, 10 * time.Millisecond}, 30)
	if values[0] != 970 || values[1] != 0 {
		t.Errorf("less 30 ms: %v", values)
	}
	var b strings.Builder
	err := writeTable(&b, []Result{newResult("power loss", Milliseconds, 100, values), newResult("stop", Milliseconds, 0, nil)})
	if err != nil || !strings.Contains(b.String(), "missed") || strings.Count(b.String(), "\n") != 4 {
		t.Errorf("%v\n%s", err, b.String())
	}
}
