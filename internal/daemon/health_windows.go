package daemon

import "path/filepath"

// rootPath is the drive of the state.
func rootPath(stateDir string) string { return filepath.VolumeName(stateDir) + `\` }
