package daemon

import (
	"errors"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/all"
	"github.com/perdure-ha/perdure/internal/message"
)

// Kits describes the kits of this build.
func Kits() api.Kits { return kits{} }

// kits shows the kits of this build to the API.
type kits struct{}

// Parse checks the settings of a resource, and completes its common ones.
func (kits) Parse(name string, settings map[string]string) ([]string, cluster.Common, map[string]string, error) {
	v, claims, err := all.Kits().Parse(name, settings)
	if err != nil {
		return nil, cluster.Common{}, nil, err
	}
	common := v.Common()
	if k, err := all.Kits().Find(name); err == nil {
		p, ok := k.(kit.Prober)
		common.Probe = ok && p.Probes()
	}
	return claims, common, settings, nil
}

// List names all kits, and the members of families without their settings:
// each of them would have to be asked.
func (k kits) List() []api.KitInfo {
	var out []api.KitInfo
	for _, one := range all.Kits() {
		out = append(out, describe(one))
		if f, ok := one.(kit.Family); ok {
			for _, m := range f.Members() {
				about := m.About()
				out = append(out, api.KitInfo{Name: m.Name(), About: api.Words{EN: about.EN, JA: about.JA}})
			}
		}
	}
	return out
}

// Describe is one kit.
func (kits) Describe(name string) (api.KitInfo, error) {
	k, err := all.Kits().Find(name)
	if err != nil {
		return api.KitInfo{}, err
	}
	return describe(k), nil
}

func describe(k kit.Kit) api.KitInfo {
	about := k.About()
	info := api.KitInfo{Name: k.Name(), About: api.Words{EN: about.EN, JA: about.JA}}
	common := make(map[string]bool)
	for _, s := range kit.Common() {
		common[s.Name] = true
	}
	for _, s := range kit.Declared(k) {
		info.Settings = append(info.Settings, api.SettingInfo{
			Name: s.Name, Type: string(s.Type), Required: s.Required, Default: s.Default, Min: s.Min, Max: s.Max,
			Values: s.Values, Example: s.Example, Help: api.Words{EN: s.Help.EN, JA: s.Help.JA}, Common: common[s.Name],
		})
	}
	return info
}

// textOf is an error for a peer that has no certificate yet: what the
// catalogue knows, nothing else.
func textOf(err error) error {
	var m *message.Error
	if errors.As(err, &m) {
		return m
	}
	return message.New(message.JoinRefused, "internal error")
}
