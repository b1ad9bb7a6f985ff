package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/settings"
)

// failure is what a verb reports with --json when it has no verdict.
type failure struct {
	Error    string             `json:"error"`
	Problems []settings.Problem `json:"problems,omitempty"` // of the settings
}

// writeFailure writes an error as JSON. The printer keeps what goes wrong with that.
func writeFailure(w *printer, err error) {
	f := failure{Error: err.Error()}
	var wrong *settings.Error
	if errors.As(err, &wrong) {
		f.Problems = wrong.Problems
		f.Error = strings.Replace(f.Error, wrong.Error(), wrong.Summary(), 1)
	}
	_ = writeJSON(w, f)
}

// asksJSON reports whether the answer is to be JSON. A command line that could not be read
// to its end may ask for it too. What connect runs has flags of its own.
func asksJSON(cmd *cobra.Command, args []string) bool {
	if cmd != nil {
		if flag := cmd.Flags().Lookup("json"); flag != nil && flag.Changed {
			return flag.Value.String() == "true"
		}
		if format := cmd.Flags().Lookup("format"); format != nil && format.Changed {
			return format.Value.String() == "json"
		}
		if cmd.Name() == "connect" {
			args = args[:len(args)-len(cmd.Flags().Args())]
		}
	}
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.ContainsFunc(args, func(arg string) bool {
		value, is := strings.CutPrefix(arg, "--json=")
		asks, err := strconv.ParseBool(value)
		return arg == "--json" || is && err == nil && asks
	})
}
