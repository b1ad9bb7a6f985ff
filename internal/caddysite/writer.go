package caddysite

import "strings"

// writer writes a Caddyfile the way `caddy fmt` would.
type writer struct {
	strings.Builder
	depth int
}

func (w *writer) blank() { w.WriteByte('\n') }

func (w *writer) comment(text string) { w.text("# " + text) }

func (w *writer) line(words ...string) { w.text(join(words)) }

func (w *writer) block(words []string, body func()) {
	w.text(strings.TrimLeft(join(words)+" {", " "))
	w.depth++
	body()
	w.depth--
	w.text("}")
}

func (w *writer) text(s string) {
	w.WriteString(strings.Repeat("\t", w.depth))
	w.WriteString(s)
	w.WriteByte('\n')
}

func join(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = quote(word)
	}
	return strings.Join(quoted, " ")
}

// quote makes one token of a word. Quoting does not stop Caddy from expanding
// placeholders and environment variables, so outside text is checked before it comes
// here; what is left to quote is our own.
func quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\r\n\"`\\#") {
		return word
	}
	return `"` + strings.ReplaceAll(word, `"`, `\"`) + `"`
}
