package qemu

type snapshot struct{}
