package cli

import (
	"context"

	"github.com/perdure-ha/perdure/internal/api"
)

type auditCmd struct {
	Last int `short:"n" help:"Only the newest so many, 1000 at most." default:"50"`
}

func (c auditCmd) Run(ctx context.Context, a *app) error {
	records, err := a.client().Audit(ctx, min(max(c.Last, 1), 1000))
	if err != nil {
		return err
	}
	if a.JSON {
		for i := range records {
			if err := a.printJSONLine(&records[i]); err != nil {
				return err
			}
		}
		return nil
	}
	rows := [][]cell{heads(a.label("when", "日時"), a.label("who", "要求者"), a.label("role", "役割"), a.label("result", "結果"), a.label("what", "内容"))}
	for i := range records {
		r := &records[i]
		m := mark("")
		if r.Result != "done" {
			m = warn
		}
		rows = append(rows, []cell{{a.clock(r.At.UnixMilli()), faint}, {text: auditWho(r)}, {text: dash(string(r.Role))}, {r.Result, m}, {text: a.auditWhat(r)}})
	}
	a.table(a.term.Out, "", rows)
	return nil
}

func auditWho(r *api.AuditRecord) string {
	who := dash(r.Who)
	if r.From != "" {
		who += " " + r.From
	}
	return who
}

// auditWhat is what the command said, or which operation was asked for.
func (a *app) auditWhat(r *api.AuditRecord) string {
	text := r.Op + " " + r.Path
	if r.What.Code != "" {
		text = a.reason(r.What)
	}
	if r.Code != "" && r.Code != r.What.Code {
		text += " → " + r.Code
	}
	return text
}
