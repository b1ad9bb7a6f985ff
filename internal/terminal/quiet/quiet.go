// Package quiet keeps a program from asking the terminal for its background colour when
// it is loaded. Import it for that effect, with a blank name, in package main.
//
// Pulumi's SDK links bubbletea, whose initialization asks (it calls
// lipgloss.HasDarkBackground) and waits five seconds for the answer: a serial console or
// a recorder never gives one, and on others the answer can end up in the shell. lipgloss
// does not ask when it has been told. Go initializes packages that could both be next by
// their import path, and this one's comes before bubbletea's; a test of cmd/alorig holds
// that.
package quiet

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
