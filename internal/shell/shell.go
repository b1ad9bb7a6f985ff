// Package shell writes text for a POSIX shell.
package shell

import "strings"

// Word writes a text as one word of a POSIX shell, whatever it holds.
func Word(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
