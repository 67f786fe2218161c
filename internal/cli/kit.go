package cli

import (
	"context"
	"strings"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/message"
)

type kitCmd struct {
	List kitListCmd `cmd:"" help:"List kits."`
	Show kitShowCmd `cmd:"" help:"Show a kit's settings."`
}

// withoutDaemon reports whether this program must speak for itself. A daemon
// that answers comes first: its kits are the ones that run.
func (a *app) withoutDaemon(err error) bool {
	return a.run.Kits != nil && (message.Has(err, message.DaemonNotRunning) || message.Has(err, message.NoPermission))
}

type kitListCmd struct{}

func (kitListCmd) Run(ctx context.Context, a *app) error {
	kits, err := a.client().Kits(ctx)
	if a.withoutDaemon(err) {
		kits, err = a.run.Kits.List(), nil
	}
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(kits)
	}
	var rows [][]cell
	for _, k := range kits {
		rows = append(rows, []cell{{k.Name, strong}, {text: k.About.In(a.lang)}})
	}
	a.table(a.term.Out, "", rows)
	return nil
}

type kitShowCmd struct {
	Kit string `arg:"" help:"Name."`
}

func (c kitShowCmd) Run(ctx context.Context, a *app) error {
	k, err := a.client().Kit(ctx, c.Kit)
	if a.withoutDaemon(err) {
		k, err = a.run.Kits.Describe(c.Kit)
	}
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(k)
	}
	a.printf("%s  %s\n", a.mark(strong, k.Name), k.About.In(a.lang))
	a.settingRows(a.label("Settings", "設定項目"), k.Settings, false)
	a.settingRows(a.label("Settings of every resource", "すべてのリソースに共通の設定項目"), k.Settings, true)
	return nil
}

func (a *app) settingRows(title string, all []api.SettingInfo, common bool) {
	var rows [][]cell
	for _, s := range all {
		if s.Common != common {
			continue
		}
		about := s.Help.In(a.lang)
		kind := s.Type
		if len(s.Values) > 0 {
			kind = strings.Join(s.Values, " | ")
		}
		switch {
		case s.Required:
			about += a.label("; required", "。必須")
		case s.Default != "":
			about += a.label("; default ", "。既定値 ") + s.Default
		}
		if s.Min != "" || s.Max != "" {
			about += " (" + s.Min + "…" + s.Max + ")"
		}
		if s.Example != "" {
			about += a.label("; e.g. ", "。例 ") + s.Name + "=" + s.Example
		}
		rows = append(rows, []cell{{s.Name, strong}, {kind, faint}, {text: about}})
	}
	if len(rows) > 0 {
		a.printf("\n%s\n", title)
		a.table(a.term.Out, "  ", rows)
	}
}
