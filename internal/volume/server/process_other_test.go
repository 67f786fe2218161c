//go:build !linux

package server

const roleVariable = "PERDURE_TEST_VOLUME_SERVER"

func processMain() int { return 1 }

func guestRole() {}
