package qmp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Event is something that QEMU says by itself.
type Event struct {
	Name string
	// Data is what the event carries, as it came; Decode reads it.
	Data json.RawMessage
	// Time is QEMU's wall clock. Zero if QEMU couldn't read it.
	Time time.Time
}

// Decode reads the event's data into v.
func (e Event) Decode(v any) error {
	if len(e.Data) == 0 {
		return fmt.Errorf("decode event %s: it has no data", e.Name)
	}
	if err := json.Unmarshal(e.Data, v); err != nil {
		return fmt.Errorf("decode event %s: %w", e.Name, err)
	}
	return nil
}

// Error is QEMU's refusal of a command.
type Error struct {
	Command string
	// Class is stable ("GenericError", "CommandNotFound", "DeviceNotFound" …);
	// Desc is for people and changes between releases.
	Class, Desc string
}

func (e *Error) Error() string {
	return fmt.Sprintf("QEMU refused %s: %s (%s)", e.Command, e.Desc, e.Class)
}

// Version is QEMU's, from its greeting.
type Version struct{ Major, Minor, Micro int }

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Micro) }

// line is one line from QEMU: a greeting, an event, or an answer.
type line struct {
	greeting *Version
	event    *Event
	answer   *answer
}

type answer struct {
	id     uint64
	hasID  bool // an error about unreadable input has none
	result json.RawMessage
	fault  *Error
}

// errNoMessage: valid JSON that is none of the three.
var errNoMessage = errors.New("neither greeting, event nor answer")

// decodeLine reads a line of QEMU. What it does not know inside a message is left
// alone: later releases add members.
func decodeLine(text []byte) (line, error) {
	var raw struct {
		QMP *struct {
			Version struct {
				QEMU struct{ Major, Minor, Micro int } `json:"qemu"`
			} `json:"version"`
		} `json:"QMP"`
		Event     string          `json:"event"`
		Data      json.RawMessage `json:"data"`
		Timestamp struct {
			Seconds      int64 `json:"seconds"`
			Microseconds int64 `json:"microseconds"`
		} `json:"timestamp"`
		Return json.RawMessage `json:"return"`
		Error  *struct {
			Class string `json:"class"`
			Desc  string `json:"desc"`
		} `json:"error"`
		ID json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return line{}, fmt.Errorf("decode a line of QMP: %w", err)
	}
	switch {
	case raw.QMP != nil:
		v := Version(raw.QMP.Version.QEMU)
		return line{greeting: &v}, nil
	case raw.Event != "":
		e := &Event{Name: raw.Event, Data: raw.Data}
		// Both are −1 when the time could not be read.
		if raw.Timestamp.Seconds >= 0 && raw.Timestamp.Microseconds >= 0 {
			e.Time = time.Unix(raw.Timestamp.Seconds, raw.Timestamp.Microseconds*1000)
		}
		return line{event: e}, nil
	case raw.Error != nil, len(raw.Return) > 0:
		a := &answer{result: raw.Return}
		if raw.Error != nil {
			a.fault = &Error{Class: raw.Error.Class, Desc: raw.Error.Desc}
		}
		if len(raw.ID) > 0 && !bytes.Equal(raw.ID, []byte("null")) {
			if err := json.Unmarshal(raw.ID, &a.id); err != nil {
				return line{}, fmt.Errorf("decode a line of QMP: an answer to what nobody asked: id %.40s", raw.ID)
			}
			a.hasID = true
		}
		return line{answer: a}, nil
	}
	return line{}, fmt.Errorf("decode a line of QMP: %w", errNoMessage)
}
