// Package container is the kit for a container that podman or docker runs.
//
// It owns making the container afresh at each start, the judgement of its state,
// and that nothing of it is left after a stop. It leaves images to whoever puts
// them on the nodes, data to volumes on disks that move with the hierarchy, and
// everything inside to the image. It speaks to the engine by its command line,
// which is the same for both.
//
// Concurrency is that of kit.Resource.
//
// Start reading at kit.go, then container.go.
package container
