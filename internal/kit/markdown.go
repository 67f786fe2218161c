package kit

import (
	"fmt"
	"strings"
)

// Markdown is the reference of kits, from their declarations.
func Markdown(kits []Kit, japanese bool) string {
	pick := func(t Text) string {
		if japanese {
			return t.JA
		}
		return t.EN
	}
	title := Text{"# Kits\n\nA kit brings one kind of resource in service, takes it out of service and checks it. This page is made from the\n" +
		"kits' own declarations. How to write one: [design/kits.md](design/kits.md).\n",
		"# キット\n\nキットは 1 種類のリソースを起動、停止、監視します。このページはキット自身の宣言から生成されています。\n" +
			"キットの作り方: [design/kits.md](design/kits.md)\n"}
	common := Text{"\n## Every resource\n\nA kit may have other defaults for these; then they are in its own table.\n",
		"\n## すべてのリソース\n\nキットが異なる既定値を持つ場合は、そのキットの表に示します。\n"}
	var b strings.Builder
	b.WriteString(pick(title))
	for _, k := range kits {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", k.Name(), sentence(pick(k.About()), japanese))
		table(&b, k.Settings(), pick, japanese)
	}
	b.WriteString(pick(common) + "\n")
	table(&b, Common(), pick, japanese)
	return b.String()
}

func table(b *strings.Builder, settings []Setting, pick func(Text) string, japanese bool) {
	b.WriteString(map[bool]string{false: "| setting | value | default | example | meaning |\n",
		true: "| 設定項目 | 値 | 既定値 | 例 | 意味 |\n"}[japanese])
	b.WriteString("|---|---|---|---|---|\n")
	for _, s := range settings {
		fmt.Fprintf(b, "| `%s`%s | %s | %s | `%s` | %s |\n", s.Name, required(s, japanese), s.Form(), ticked(s.Default), s.Example, cell(pick(s.Help)))
	}
}

// Form describes the values that a setting takes.
func (s Setting) Form() string {
	switch {
	case s.Type == Enum:
		return strings.Join(s.Values, ", ")
	case s.Min != "" || s.Max != "":
		return fmt.Sprintf("%s, %s to %s", s.Type, s.Min, s.Max)
	}
	return string(s.Type)
}

func required(s Setting, japanese bool) string {
	switch {
	case !s.Required:
		return ""
	case japanese:
		return " (必須)"
	}
	return " (required)"
}

func ticked(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func sentence(s string, japanese bool) string {
	if japanese {
		return s + "。"
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
