package api

import "github.com/perdure-ha/perdure/internal/cluster"

// Kits is what the API needs to know of the kits of this daemon.
type Kits interface {
	// Parse checks settings against the kit's declaration. The error may join
	// several messages of the catalogue.
	Parse(kit string, settings map[string]string) (claims []string, common cluster.Common, clean map[string]string, err error)
	// List names all kits, with their settings.
	List() []KitInfo
	// Describe is one kit; an unknown one is a message of the catalogue.
	Describe(kit string) (KitInfo, error)
}

// KitInfo is a kit as people see it.
type KitInfo struct {
	Name     string        `json:"name"`
	About    Words         `json:"about"`
	Settings []SettingInfo `json:"settings"`
}

// Words is a text in both languages.
type Words struct {
	EN string `json:"en"`
	JA string `json:"ja"`
}

// In is the text in a language.
func (w Words) In(lang string) string {
	if lang == "ja" {
		return w.JA
	}
	return w.EN
}

// SettingInfo is the declaration of one setting.
type SettingInfo struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Required bool     `json:"required"`
	Default  string   `json:"default,omitempty"`
	Min      string   `json:"min,omitempty"`
	Max      string   `json:"max,omitempty"`
	Values   []string `json:"values,omitempty"`
	Example  string   `json:"example,omitempty"`
	Help     Words    `json:"help"`
	// Common reports whether every resource has it.
	Common bool `json:"common"`
}
