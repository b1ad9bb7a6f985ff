package main

import (
	"cmp"
	"fmt"
	"runtime/debug"

	"github.com/alorig/fleet/internal/pinned"
)

// version is what this binary was built from: the commit, where Go could read it, and the
// Pulumi engine in it.
func version() string {
	commit := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		commit = info.Main.Version // Go makes it from the commit
	}
	return fmt.Sprintf("%s, Pulumi %s", cmp.Or(commit, "(devel)"), pinned.PulumiVersion)
}
