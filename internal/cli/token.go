package cli

import (
	"context"
	"time"

	"github.com/perdure-ha/perdure/internal/api/wording"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make a token with which one machine may join."`
	Access tokenAccessCmd `cmd:"" help:"Make an access token, with which a program asks over the network."`
	List   tokenListCmd   `cmd:"" help:"List tokens and log-ins; their secrets are known to nobody."`
	Revoke tokenRevokeCmd `cmd:"" help:"Revoke an access token, or end a log-in."`
}

type tokenCreateCmd struct {
	Role  string        `help:"What the machine may become: ${enum}." enum:"node,witness" default:"node"`
	Valid time.Duration `help:"How long it is good for." default:"1h"`
}

func (c tokenCreateCmd) Run(ctx context.Context, a *app) error {
	t, err := a.client().CreateToken(ctx, cluster.Role(c.Role), c.Valid)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(t)
	}
	// The token alone goes to the standard output, for scripts.
	a.printf("%s\n", t.Token)
	flag := ""
	if c.Role == string(cluster.RoleWitness) {
		flag = " --role witness"
	}
	a.note(message.TokenHint, t.Expires.In(a.zone), flag)
	return nil
}

type tokenListCmd struct{}

func (tokenListCmd) Run(ctx context.Context, a *app) error {
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(map[string]any{"join": v.State.Tokens, "access": v.State.Keys})
	}
	rows := [][]cell{heads(a.label("token", "トークン"), a.label("role", "役割"), a.label("expires", "期限"), a.label("state", "状態"))}
	for _, t := range v.State.Tokens {
		state := a.label("open", "未使用")
		switch {
		case t.UsedBy != 0:
			state = a.label("used by ", "使用済み: ") + v.State.NodeName(t.UsedBy)
		case time.Unix(t.ExpiresUnix, 0).Before(time.Now()):
			state = a.label("expired", "期限切れ")
		}
		rows = append(rows, plain(t.Hash[:min(8, len(t.Hash))]+"…", wording.Word(a.lang, t.Role), a.clock(t.ExpiresUnix*1000), state))
	}
	a.table(a.term.Out, "", append(rows, a.accessRows(v.State.Keys, time.Now())...))
	return nil
}
