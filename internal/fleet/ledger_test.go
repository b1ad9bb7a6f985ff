package fleet

import (
	"reflect"
	"testing"
)

func TestSeedSums(t *testing.T) {
	l := Alorig()
	if got := l.Check(); len(got) != 0 {
		t.Fatalf("the ledger has findings: %v", got)
	}
	total := l.Totals()
	if total.Steady != 10700 {
		t.Errorf("steady state %d MiB, the seed says 10.7 GB", total.Steady)
	}
	t.Logf("%+v peak %d conns %d", total, total.Peak(), l.ConnectionTotal())
	p, err := l.Plain()
	if err != nil {
		t.Fatal(err)
	}
	back, err := FromPlain(p)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(l, back) {
		t.Error("Plain and FromPlain lose something")
	}
}
