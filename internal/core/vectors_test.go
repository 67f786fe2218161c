package core

import (
	"bufio"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

var rewrite = flag.Bool("rewrite", false, "write the test vectors anew: only with a new protocol version")

// TestVectors: every release writes these packets byte for byte and reads them.
func TestVectors(t *testing.T) {
	const file = "testdata/wire-v1.txt"
	var out strings.Builder
	fmt.Fprintln(&out, "# Packets and messages of protocol version 1, hexadecimal; see docs/formats.md.")
	write := func(name string, b []byte) { fmt.Fprintf(&out, "%s %s\n", name, hex.EncodeToString(b)) }
	write("heartbeat", AppendHeartbeat(nil, aBeat()))
	write("heartbeat-empty", AppendHeartbeat(nil, &Heartbeat{}))
	write("ack", AppendAck(nil, &arbiter.Ack{Voter: 1, Generation: 2, Conf: 3, Granted: 2500e6, Sent: 77}))
	write("ack-refused", AppendAck(nil, &arbiter.Ack{Voter: 1, Generation: 2, Conf: 3, Sent: 77, Refusal: arbiter.RefusedPromised}))
	write("raft", EncodeMessage(&Message{From: 1, To: 2, Raft: &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), To: new(uint64(2)), From: new(uint64(1)), Term: new(uint64(3)), Commit: new(uint64(9))}}))
	write("propose", EncodeMessage(&Message{From: 1, To: 2, Relayed: true, Propose: []byte(`{"v":1}`)}))
	write("refused", EncodeMessage(&Message{From: 1, To: 2, Refused: &Refused{ID: 7, Reason: cluster.Because("PD1008")}}))
	write("ask", EncodeMessage(&Message{From: 1, To: 2, Ask: &arbiter.Ask{Node: 3, Generation: 4, Conf: 5, Phase: arbiter.Do}}))
	write("answer", EncodeMessage(&Message{From: 1, To: 2, Answer: &arbiter.Answer{Ask: arbiter.Ask{Node: 3, Generation: 4, Conf: 5, Phase: arbiter.Do}, Voter: 1, Yes: true, Silent: 3e9}}))
	write("answer-never", EncodeMessage(&Message{From: 1, To: 2, Answer: &arbiter.Answer{Ask: arbiter.Ask{Node: 3, Generation: 4, Conf: 5, Phase: arbiter.Would}, Voter: 1, Silent: -1, Wait: 5e6}}))
	write("probe", EncodeMessage(&Message{From: 1, To: 2, Probe: &Probe{Asked: 5e9}}))
	write("proof", EncodeMessage(&Message{From: 2, To: 1, Proof: &Proof{Alive: true, Asked: 5e9, Beat: arbiter.Beat{Node: 2, Generation: 3, Conf: 4, Sent: 6e9}}}))
	write("ack-message", EncodeMessage(&Message{From: 1, To: 2, Ack: &arbiter.Ack{Voter: 1, Generation: 3, Conf: 4, Granted: 2500e6, Sent: 6e9}}))
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != out.String() {
		t.Errorf("this is not what other releases send:\n%s\nwant\n%s", out.String(), want)
	}
	for lines := bufio.NewScanner(strings.NewReader(string(want))); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if strings.HasPrefix(name, "#") {
			continue
		}
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if b[0] == wireMessage {
			_, err = DecodeMessage(b)
		} else {
			_, _, err = DecodePacket(b)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
