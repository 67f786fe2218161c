//go:build !windows

package daemon

// rootPath is the file system that everything else needs.
func rootPath(string) string { return "/" }
