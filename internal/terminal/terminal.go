// Package terminal makes text from outside harmless to a terminal. The user of a lock, the
// label of a container or what another program prints may hold escape codes, which would
// move the cursor, rewrite what was said, or fake a line of ours.
package terminal

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Line returns a name as one line. What a terminal would act on is shown as Go writes it,
// such as \x1b or \n.
func Line(text string) string { return clean(text, "") }

// Text returns a text of several lines. Line breaks and tabs stay; the rest is as in [Line].
func Text(text string) string {
	return clean(strings.ReplaceAll(text, "\r\n", "\n"), "\n\t")
}

func clean(text, kept string) string {
	harmless := func(r rune) bool { return unicode.IsPrint(r) || strings.ContainsRune(kept, r) }
	if utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !harmless(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1: // a byte that is no text
			b.WriteString(`\x` + strconv.FormatUint(uint64(text[0]), 16))
		case harmless(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[size:]
	}
	return b.String()
}

// Writer passes on what is written to it as [Text]. Several goroutines may write: each
// write is passed on whole.
type Writer struct {
	mu   sync.Mutex
	to   io.Writer
	rest []byte // the beginning of a character, or a carriage return
}

// NewWriter returns a writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{to: w} }

// Write passes text on. It reports the length of what it was given.
func (w *Writer) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	whole := slices.Concat(w.rest, text)
	cut := len(whole)
	switch {
	case cut > 0 && whole[cut-1] == '\r':
		cut--
	default:
		for back := 1; back <= min(utf8.UTFMax-1, len(whole)); back++ {
			if last := whole[len(whole)-back:]; utf8.RuneStart(last[0]) {
				if !utf8.FullRune(last) {
					cut -= back
				}
				break
			}
		}
	}
	w.rest = append([]byte(nil), whole[cut:]...)
	if _, err := io.WriteString(w.to, Text(string(whole[:cut]))); err != nil {
		return 0, err
	}
	return len(text), nil
}
