package ledger

import (
	"fmt"
	"strings"
)

// MiB is an amount of memory in mebibytes, the unit of Docker's memory settings.
type MiB int

// GB is what the seed calls a GB: a thousand of the units it calls MB, which the
// ledger books as MiB (docs/adr/0001-one-gb-is-1000-mib.md). Every figure of the
// seed keeps its digits, and every reading errs on the safe side.
const GB MiB = 1000

// String renders the amount the way the seed writes it: "700 MB" below one GB,
// "1.75 GB" above.
func (m MiB) String() string {
	if m > -GB && m < GB {
		return fmt.Sprintf("%d MB", int(m))
	}
	gb := strings.TrimRight(fmt.Sprintf("%.3f", float64(m)/float64(GB)), "0")
	return strings.TrimSuffix(gb, ".") + " GB"
}
