package cli

import (
	"context"
	"strings"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/api/wording"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type resourceCmd struct {
	List   resourceListCmd   `cmd:"" help:"List resources."`
	Show   resourceShowCmd   `cmd:"" help:"Show one with its settings."`
	Create resourceCreateCmd `cmd:"" help:"Add one to a hierarchy: KIT NAME --hierarchy H key=value …"`
	Set    resourceSetCmd    `cmd:"" help:"Change settings or dependencies; key= gives a setting its default again."`
	Delete resourceDeleteCmd `cmd:"" help:"Stop one and delete it."`

	Depend   resourceDependCmd   `cmd:"" help:"Make one depend on another: PARENT CHILD."`
	Undepend resourceUndependCmd `cmd:"" help:"End that."`
}

type resourceListCmd struct {
	Hierarchy string `help:"Only of this hierarchy." placeholder:"NAME"`
}

func (c resourceListCmd) Run(ctx context.Context, a *app) error {
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	all := []api.ResourceView{}
	for i := range v.State.Hierarchies {
		h := &v.State.Hierarchies[i]
		if c.Hierarchy != "" && h.Name != c.Hierarchy {
			continue
		}
		for _, r := range h.Resources {
			all = append(all, api.ResourceView{Hierarchy: h.Name, Resource: r})
		}
	}
	if c.Hierarchy != "" && v.State.Hierarchy(c.Hierarchy) == nil {
		return a.near(ctx, message.New(message.RefusedNotFound, c.Hierarchy))
	}
	if a.JSON {
		return a.printJSON(all)
	}
	rows := [][]cell{heads(a.label("hierarchy", "リソース階層"), a.label("resource", "リソース"), a.label("kit", "キット"),
		a.label("status", "状態"), a.label("depends on", "依存先"))}
	for _, r := range all {
		rows = append(rows, []cell{{text: r.Hierarchy}, {r.Resource.Name, strong}, {text: r.Resource.Kit},
			{wording.Word(a.lang, r.Resource.Status), statusMark(r.Resource.Status)}, {text: join(r.Resource.DependsOn)}})
	}
	a.table(a.term.Out, "", rows)
	return nil
}

// findResource finds one by its name alone, as long as that says which.
func (a *app) findResource(ctx context.Context, hierarchy, name string) (*cluster.Hierarchy, *cluster.Resource, error) {
	v, err := a.client().View(ctx)
	if err != nil {
		return nil, nil, err
	}
	if h, n, ok := strings.Cut(name, "/"); ok && hierarchy == "" {
		hierarchy, name = h, n
	}
	var found []*cluster.Hierarchy
	for i := range v.State.Hierarchies {
		h := &v.State.Hierarchies[i]
		if (hierarchy == "" || h.Name == hierarchy) && h.Resource(name) != nil {
			found = append(found, h)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], found[0].Resource(name), nil
	case len(found) > 1:
		var names []string
		for _, h := range found {
			names = append(names, h.Name)
		}
		return nil, nil, message.New(message.ResourceAmbiguous, name, names)
	case hierarchy != "" && v.State.Hierarchy(hierarchy) == nil:
		return nil, nil, a.near(ctx, message.New(message.RefusedNotFound, hierarchy))
	case hierarchy != "":
		return nil, nil, a.near(ctx, message.New(message.RefusedNoResource, name, hierarchy))
	}
	return nil, nil, message.New(message.ResourceUnknown, name)
}

// settings reads key=value words.
func settings(words []string) (map[string]string, error) {
	out := make(map[string]string)
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok || k == "" {
			return nil, message.New(message.NotKeyValue, w)
		}
		if _, twice := out[k]; twice {
			return nil, message.New(message.SettingTwice, k)
		}
		out[k] = v
	}
	return out, nil
}

type resourceCreateCmd struct {
	Kit       string   `arg:"" help:"Kit (perdure kit list)."`
	Name      string   `arg:"" help:"Name."`
	Settings  []string `arg:"" optional:"" name:"key=value" help:"Settings (perdure kit show KIT)."`
	Hierarchy string   `short:"H" help:"Hierarchy to which it belongs." required:"" placeholder:"NAME"`
	Depends   []string `short:"d" help:"Resources on which it depends." placeholder:"A,B"`
	Parent    []string `short:"p" help:"Resources that will depend on it." placeholder:"A,B"`
}

func (c resourceCreateCmd) Run(ctx context.Context, a *app) error {
	set, err := settings(c.Settings)
	if err != nil {
		return err
	}
	d, err := a.client().CreateResource(ctx, c.Hierarchy, api.NewResource{
		Name: c.Name, Kit: c.Kit, Settings: set, DependsOn: c.Depends, Parents: c.Parent,
	})
	return a.done(ctx, d, err, message.AskedCreate, c.Hierarchy+"/"+c.Name)
}

type resourceSetCmd struct {
	Name      string    `arg:"" help:"Name, or HIERARCHY/NAME."`
	Settings  []string  `arg:"" optional:"" name:"key=value" help:"Settings to change."`
	Hierarchy string    `short:"H" help:"Hierarchy, if the name alone doesn't say which." placeholder:"NAME"`
	Depends   *[]string `short:"d" help:"Resources on which it depends; replaces all." placeholder:"A,B"`
	onFailure
}

func (c resourceSetCmd) Run(ctx context.Context, a *app) error {
	set, err := settings(c.Settings)
	if err != nil {
		return err
	}
	h, r, err := a.findResource(ctx, c.Hierarchy, c.Name)
	if err != nil {
		return err
	}
	if len(set) == 0 && c.Depends == nil && c.empty() {
		return message.New(message.NothingToChange)
	}
	d, err := a.client().SetResource(ctx, h.Name, r.Name, api.ResourceChange{Settings: set, DependsOn: c.Depends,
		NotifyOnly: c.NotifyOnly, FailoverBlocked: c.FailoverBlocked, Targets: c.targets()})
	return a.done(ctx, d, err, message.AskedChange, h.Name+"/"+r.Name)
}

type resourceDeleteCmd struct {
	Name      string `arg:"" help:"Name, or HIERARCHY/NAME."`
	Hierarchy string `short:"H" help:"Hierarchy, if the name alone doesn't say which." placeholder:"NAME"`
}

func (c resourceDeleteCmd) Run(ctx context.Context, a *app) error {
	h, r, err := a.findResource(ctx, c.Hierarchy, c.Name)
	if err != nil {
		return err
	}
	d, err := a.client().DeleteResource(ctx, h.Name, r.Name)
	return a.done(ctx, d, err, message.AskedDelete, h.Name+"/"+r.Name)
}

type resourceShowCmd struct {
	Name      string `arg:"" help:"Name, or HIERARCHY/NAME."`
	Hierarchy string `short:"H" help:"Hierarchy, if the name alone doesn't say which." placeholder:"NAME"`
}

func (c resourceShowCmd) Run(ctx context.Context, a *app) error {
	h, r, err := a.findResource(ctx, c.Hierarchy, c.Name)
	if err != nil {
		return err
	}
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(api.ResourceView{Hierarchy: h.Name, Resource: *r})
	}
	a.printf("%s  %s  %s\n", a.mark(strong, h.Name+"/"+r.Name), r.Kit, a.mark(statusMark(r.Status), wording.Word(a.lang, r.Status)))
	if r.Reason.Code != "" {
		a.table(a.term.Out, "  ", [][]cell{plain(a.reason(r.Reason) + " (" + r.Reason.Code + ")")})
	}
	rows := [][]cell{}
	if len(r.DependsOn) > 0 {
		rows = append(rows, plain(a.label("depends on", "依存先"), join(r.DependsOn)))
	}
	for _, k := range sortedKeys(r.Settings) {
		rows = append(rows, plain(k, r.Settings[k]))
	}
	if words := a.failurePolicy(&v, &r.OnFailure); words != "" {
		rows = append(rows, plain(a.label("on failure", "障害時"), words))
	}
	if len(r.Claims) > 0 {
		rows = append(rows, plain(a.label("claims", "占有"), join(r.Claims)))
	}
	a.table(a.term.Out, "  ", rows)
	return nil
}

func join(names []string) string {
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
