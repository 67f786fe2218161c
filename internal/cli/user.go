package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/x/term"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type userCmd struct {
	List   userListCmd   `cmd:"" help:"List users."`
	Set    userSetCmd    `cmd:"" help:"Make a user, or change role or password."`
	Delete userDeleteCmd `cmd:"" help:"Delete a user with all log-ins."`
	Whoami whoamiCmd     `cmd:"" help:"Who the daemon takes you for, and what you may do."`
}

type userListCmd struct{}

func (userListCmd) Run(ctx context.Context, a *app) error {
	users, err := a.client().Users(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(users)
	}
	rows := [][]cell{heads(a.label("user", "ユーザー"), a.label("role", "役割"), a.label("password set", "パスワード設定"))}
	for _, u := range users {
		rows = append(rows, plain(u.Name, string(u.Right), a.clock(u.ChangedUnix*1000)))
	}
	a.table(a.term.Out, "", rows)
	return nil
}

type userSetCmd struct {
	User          string `arg:"" help:"Name."`
	Role          string `help:"What the user may do: ${enum}. Default: as before; for a new user, guest." enum:"admin,operator,guest," default:"" placeholder:"ROLE"`
	Password      bool   `help:"Ask for a new password on the terminal." xor:"password"`
	PasswordStdin bool   `help:"Read the new password from standard input, one line." xor:"password"`
}

func (c userSetCmd) Run(ctx context.Context, a *app) error {
	change := api.UserChange{Role: cluster.Right(c.Role)}
	if c.Role == "" {
		users, err := a.client().Users(ctx)
		if err != nil {
			return err
		}
		change.Role = cluster.Guest
		for _, u := range users {
			if u.Name == c.User {
				change.Role = u.Right
			}
		}
	}
	if c.Password || c.PasswordStdin {
		var err error
		if change.Password, err = a.newPassword(c.PasswordStdin); err != nil {
			return err
		}
	}
	d, err := a.client().SetUser(ctx, c.User, change)
	return a.done(ctx, d, err, message.AskedUser, c.User, change.Role)
}

// newPassword reads a new password: twice from a terminal, which doesn't show
// it, or a line of standard input. Never an argument: others can read those.
func (a *app) newPassword(stdin bool) (string, error) {
	if stdin {
		line, err := bufio.NewReader(io.LimitReader(a.term.In, 1024)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", message.New(message.PasswordFromWhere).Wrap(err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	f, ok := a.term.In.(*os.File)
	if !ok || !term.IsTerminal(f.Fd()) {
		return "", message.New(message.PasswordFromWhere)
	}
	first, err := a.hidden(f, a.label("New password: ", "新しいパスワード: "))
	if err != nil {
		return "", err
	}
	again, err := a.hidden(f, a.label("Once more: ", "もう一度: "))
	if err != nil {
		return "", err
	}
	if first != again {
		return "", message.New(message.PasswordsDiffer)
	}
	return first, nil
}

func (a *app) hidden(f *os.File, prompt string) (string, error) {
	_, _ = io.WriteString(a.term.Err, prompt)
	b, err := term.ReadPassword(f.Fd())
	_, _ = io.WriteString(a.term.Err, "\n")
	if err != nil {
		return "", message.New(message.PasswordFromWhere).Wrap(err)
	}
	return string(b), nil
}

type userDeleteCmd struct {
	User string `arg:"" help:"Name."`
}

func (c userDeleteCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().DeleteUser(ctx, c.User)
	return a.done(ctx, d, err, message.AskedUserDelete, c.User)
}

type whoamiCmd struct{}

func (whoamiCmd) Run(ctx context.Context, a *app) error {
	w, err := a.client().Whoami(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(w)
	}
	a.table(a.term.Out, "", [][]cell{plain(dash(w.Name), string(w.Right), w.Via)})
	return nil
}
