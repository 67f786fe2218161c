package message

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestRenderEnglish(t *testing.T) {
	err := fmt.Errorf("start web: %w", New(NoQuorum, 1, 3, 2))
	want := `no quorum: 1 of 3 voters answer, 2 are needed (PD1101)
Detail: start web: no quorum: 1 of 3 voters answer, 2 are needed (PD1101)
Cause: Too many voters are down or can't be reached on any comm path. Without a
       majority nothing is started, so that nothing can run twice.
Next: perdure quorum status
`
	if got := Render(English, err, 80); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestRenderJapanese(t *testing.T) {
	want := `クォーラムがありません: 投票メンバー 3 台のうち応答があるのは 1 台です (2 台必
要) (PD1101)
詳細: disk on fire
原因: 停止しているか、どのコミュニケーションパスでも到達できない投票メンバーが多
      すぎます。二重起動を防ぐため、過半数がそろうまで何も起動しません。
対処: perdure quorum status
`
	if got := Render(Japanese, New(NoQuorum, 1, 3, 2).Wrap(errors.New("disk on fire")), 80); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestRenderOther(t *testing.T) {
	if got := Render(English, nil, 80); got != "" {
		t.Errorf("got %q", got)
	}
	if got := Render("fr", errors.New("plain"), 0); got != "plain\n" {
		t.Errorf("got %q", got)
	}
}

// TestEveryMessageFits renders the whole catalogue and looks for lines that a
// terminal would break itself, and for labels in the wrong language.
func TestEveryMessageFits(t *testing.T) {
	for _, code := range constants(t) {
		for _, lang := range []string{English, Japanese} {
			out := Render(lang, New(code, "a", "b", "c", "d", "e", "f"), 80)
			for _, line := range strings.Split(out, "\n") {
				if Width(line) > 80 {
					t.Errorf("%s %s: %d columns: %q", code, lang, Width(line), line)
				}
			}
		}
	}
}

func TestWrapKeepsWords(t *testing.T) {
	got := wrap("Next: ", "perdure hierarchy show a-name-which-is-far-too-long-for-the-line", 30)
	want := "Next: perdure hierarchy show\n      a-name-which-is-far-too-long-for-the-line\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestWrapKeepsPunctuationOffTheStart(t *testing.T) {
	got := wrap("", strings.Repeat("あ", 10)+"。い", 20)
	if want := strings.Repeat("あ", 9) + "\nあ。い\n"; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
