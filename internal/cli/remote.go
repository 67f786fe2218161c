package cli

import (
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/pki"
)

// tokenFileMax bounds what is read of a token file (bytes).
const tokenFileMax = 4096

// remote connects to a node elsewhere. The access token says which cluster is
// the right one, so that nothing else has to be trusted.
func (a *app) remote() (*api.Client, error) {
	text := a.term.Getenv("PERDURE_TOKEN")
	if a.TokenFile != "" {
		var err error
		if text, err = readTokenFile(a.TokenFile); err != nil {
			return nil, err
		}
	}
	if strings.TrimSpace(text) == "" {
		return nil, message.New(message.ServerNeedsToken)
	}
	t, err := api.ParseAccessToken(text)
	if err != nil {
		return nil, err
	}
	return api.DialRemote(api.Remote{Servers: a.Server, Token: text, TLS: pki.ClientConfig(t.CAPin, nil)}), nil
}

// readTokenFile refuses a file that others can read.
func readTokenFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", message.New(message.TokenFileOpen, path, err).Wrap(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return "", message.New(message.TokenFileOpen, path, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, tokenFileMax))
	if err != nil {
		return "", message.New(message.TokenFileOpen, path, err).Wrap(err)
	}
	return string(b), nil
}
