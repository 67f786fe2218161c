package kit

import (
	"errors"
	"maps"
	"slices"

	"github.com/perdure-ha/perdure/internal/message"
)

// Parse checks settings against a kit's declaration. Its error names all that
// is wrong at once, each as a message of the catalogue.
func Parse(k Kit, given map[string]string) (Values, error) {
	declared := Declared(k)
	v := Values{kit: k.Name(), typed: map[string]any{}, text: map[string]string{}}
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(declared, func(s Setting) bool { return s.Name == name }) {
			wrong = append(wrong, unknown(k, name, declared))
		}
	}
	for _, s := range declared {
		text, set := given[s.Name]
		if text == "" {
			text = s.Default
		}
		if text == "" && s.Required {
			wrong = append(wrong, message.New(message.SettingMissing, v.kit, s.Name, s.Example))
		}
		typed, err := s.parse(v.kit, text)
		if err != nil {
			wrong = append(wrong, err)
		}
		if err != nil && !set {
			panic("the default of a setting is not valid: " + err.Error())
		}
		v.typed[s.Name], v.text[s.Name] = typed, text
	}
	if len(wrong) == 0 {
		if c, ok := k.(SettingsChecker); ok {
			if err := c.CheckSettings(v); err != nil {
				wrong = append(wrong, err)
			}
		}
	}
	if len(wrong) > 0 {
		return Values{}, errors.Join(wrong...)
	}
	return v, nil
}

func unknown(k Kit, name string, declared []Setting) error {
	names := make([]string, len(declared))
	for i, s := range declared {
		names[i] = s.Name
	}
	if near := Nearest(name, names); near != "" {
		return message.New(message.SettingMisspelt, k.Name(), name, near)
	}
	slices.Sort(names)
	return message.New(message.UnknownSetting, name, k.Name(), names)
}
