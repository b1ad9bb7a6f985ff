package fleet

import "fmt"

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
	return trimZeros(fmt.Sprintf("%.2f", float64(m)/float64(GB))) + " GB"
}

func trimZeros(s string) string {
	for s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	if s[len(s)-1] == '.' {
		s += "0"
	}
	return s
}
