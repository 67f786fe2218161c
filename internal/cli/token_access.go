package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type tokenAccessCmd struct {
	Name  string        `arg:"" help:"What it is for; the timeline and the audit log name it."`
	Role  string        `help:"What its user may do: ${enum}." enum:"admin,operator,guest" default:"guest"`
	Valid time.Duration `help:"How long it is good for; 0: until it is revoked." default:"0"`
	Out   string        `help:"Write it to this new file, for its user alone, instead of standard output." placeholder:"FILE" type:"path"`
}

func (c tokenAccessCmd) Run(ctx context.Context, a *app) error {
	var file *os.File
	if c.Out != "" { // before there is a token that would be lost
		f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return message.New(message.TokenFileOpen, c.Out, err).Wrap(err)
		}
		defer f.Close()
		file = f
	}
	k, err := a.client().CreateKey(ctx, c.Name, cluster.Right(c.Role), c.Valid)
	if err != nil {
		if file != nil {
			_ = os.Remove(c.Out)
		}
		return err
	}
	if file != nil {
		if _, err := fmt.Fprintln(file, k.Token); err != nil {
			return message.New(message.TokenFileOpen, c.Out, err).Wrap(err)
		}
		if err := file.Sync(); err != nil {
			return message.New(message.TokenFileOpen, c.Out, err).Wrap(err)
		}
		k.Token = ""
	}
	if a.JSON {
		return a.printJSON(k)
	}
	if file == nil {
		a.printf("%s\n", k.Token) // alone, for scripts
	}
	a.note(message.AccessTokenHint, a.servers(ctx))
	return nil
}

// servers are the addresses at which the cluster's nodes may be reached.
func (a *app) servers(ctx context.Context) string {
	v, err := a.client().View(ctx)
	if err != nil {
		return "HOST"
	}
	var all []string
	for _, n := range v.State.Nodes {
		if at := api.ListenAddresses(v.State, n.ID); len(at) > 0 {
			all = append(all, at[0].String())
		}
	}
	if len(all) == 0 {
		return "HOST"
	}
	return strings.Join(all, ",")
}

type tokenRevokeCmd struct {
	ID string `arg:"" help:"The id of an access token or log-in, from token list."`
}

func (c tokenRevokeCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().DeleteKey(ctx, c.ID)
	return a.done(ctx, d, err, message.AskedKeyDelete, c.ID)
}

// accessRows are the access tokens and log-ins, as rows of the list of tokens.
func (a *app) accessRows(keys []cluster.Key, now time.Time) [][]cell {
	var rows [][]cell
	for i := range keys {
		k := &keys[i]
		state := a.label("access token ", "アクセストークン ") + k.Name
		if k.User != "" {
			state = a.label("log-in of ", "ログイン ") + k.User
		}
		if k.Expired(now.Unix()) {
			state += a.label(", expired", "、期限切れ")
		}
		until := a.label("never", "なし")
		if k.ExpiresUnix != 0 {
			until = a.clock(k.ExpiresUnix * 1000)
		}
		rows = append(rows, plain(k.ID, string(k.Right), until, state))
	}
	return rows
}
