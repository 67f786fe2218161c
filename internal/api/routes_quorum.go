package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// DetectionChange sets the detection time: a profile or a duration.
type DetectionChange struct {
	Detection string `json:"detection" maxLength:"32" doc:"fast, balanced, wide, or a duration such as 1500ms"`
}

// DetectionSet shows all times that follow.
type DetectionSet struct {
	Done
	Detection  time.Duration `json:"detection"`
	Was        time.Duration `json:"was"`
	Arithmetic string        `json:"arithmetic"`
}

// NewStorage adds a storage witness.
type NewStorage struct {
	Name     string `json:"name,omitempty" maxLength:"63" default:"store"`
	Kind     string `json:"kind" enum:"disk,file"`
	Location string `json:"location" minLength:"1" maxLength:"1024" doc:"the block device or the file, the same on every node"`
}

// StorageAdded is a storage witness that is being tried by the nodes.
type StorageAdded struct {
	Done
	Name     string `json:"name"`
	Location string `json:"location"`
}

func (s *Server) routesQuorum() {
	do(s, op(http.MethodPost, "/v1/quorum/storage", "storage-add",
		"Add a storage witness; it gets a vote when all nodes found its store good", "quorum"), s.addStorage)
	do(s, op(http.MethodPut, "/v1/quorum/detection", "detection-set",
		"Change the detection time; unsafe values are refused with the arithmetic", "quorum"), s.setDetection)
}

func (s *Server) addStorage(ctx context.Context, in *struct{ Body NewStorage }) (StorageAdded, error) {
	st, err := s.state()
	if err != nil {
		return StorageAdded{}, err
	}
	b := &in.Body
	for i := range st.Nodes {
		if o := st.Nodes[i].Storage; o != nil && o.Location == b.Location {
			return StorageAdded{}, newProblem(http.StatusConflict, message.New(message.RefusedNameTaken, st.Nodes[i].Name))
		}
	}
	if !cluster.ValidName(b.Name) {
		return StorageAdded{}, newProblem(http.StatusUnprocessableEntity, message.New(message.RefusedBadName, b.Name))
	}
	if st.NodeByName(b.Name) != nil {
		return StorageAdded{}, newProblem(http.StatusConflict, message.New(message.RefusedNameTaken, b.Name))
	}
	id, stable, err := s.backend.MakeStore(ctx, cluster.StoreKind(b.Kind), b.Location)
	if err != nil {
		return StorageAdded{}, problem(http.StatusUnprocessableEntity, err)
	}
	out := StorageAdded{Name: b.Name, Location: stable}
	out.Done, err = s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedStorage, b.Name, stable),
		AddStorage: &cluster.AddStorage{Name: b.Name, ID: id, Kind: cluster.StoreKind(b.Kind), Location: stable}})
	return out, err
}

// DetectionOf reads a profile's name or a duration.
func DetectionOf(text string) (time.Duration, error) {
	switch text {
	case "fast":
		return cluster.DetectionFast, nil
	case "balanced":
		return cluster.DetectionBalanced, nil
	case "wide":
		return cluster.DetectionWide, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, message.New(message.DetectionBad, text)
	}
	return d, nil
}

// ProfileOf names the profile of a detection time; empty: none.
func ProfileOf(d time.Duration) string {
	switch d {
	case cluster.DetectionFast:
		return "fast"
	case cluster.DetectionBalanced:
		return "balanced"
	case cluster.DetectionWide:
		return "wide"
	}
	return ""
}

func (s *Server) setDetection(ctx context.Context, in *struct{ Body DetectionChange }) (DetectionSet, error) {
	st, err := s.state()
	if err != nil {
		return DetectionSet{}, err
	}
	d, err := DetectionOf(in.Body.Detection)
	if err != nil {
		return DetectionSet{}, err
	}
	if err := cluster.CheckDetection(d, s.backend.Local().WorstRTT); err != nil {
		return DetectionSet{}, newProblem(http.StatusUnprocessableEntity, Unsafe(err))
	}
	out := DetectionSet{Detection: d, Was: st.Detection, Arithmetic: cluster.TimingFor(d).String()}
	out.Done, err = s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedDetection, st.Detection, d), SetDetection: &cluster.SetDetection{Detection: d}})
	return out, err
}

// Unsafe says why [cluster.CheckDetection] refused a detection time.
func Unsafe(err error) *message.Error {
	d := new(cluster.DetectionError)
	errors.As(err, &d)
	code, args := d.Says()
	return message.New(code, args...)
}
