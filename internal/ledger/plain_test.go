package ledger

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestPlainLosesNothing(t *testing.T) {
	t.Parallel()
	l := Alorig()
	plain, err := l.Plain()
	if err != nil {
		t.Fatal(err)
	}
	back, err := FromPlain(plain)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(l, back) {
		t.Error("reading what Plain wrote gives another ledger")
	}
}

func TestFromPlainRefuses(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string]map[string]any{
		"a key of another version": {"cluster": map[string]any{}},
		"text for a number":        {"server": map[string]any{"memory": "16 GB"}},
		"a fraction of a MiB":      {"server": map[string]any{"memory": 1.5}},
		"an object for a list":     {"apps": map[string]any{}},
		"what JSON cannot hold":    {"server": func() {}},
	} {
		if l, err := FromPlain(plain); err == nil {
			t.Errorf("%s: read as %+v", name, l)
		}
	}
}

// Whatever a program declares, reading it either fails or gives a ledger that can be
// judged and written again.
func FuzzFromPlain(f *testing.F) {
	// Small: the fuzzer spends its time on making large inputs smaller.
	l := Alorig()
	small, err := json.Marshal(Ledger{Server: l.Server, Reserved: l.Reserved[2:], Apps: []App{{Name: "shop", Containers: l.Apps[0].Containers[:1], Routes: l.Apps[0].Routes[:1]}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(small)
	f.Add([]byte(`{"apps":[{"name":"shop","containers":[{"role":"backend","port":-1}],"routes":[{"host":"*.","path":"/"}]}]}`))
	f.Add([]byte(`{"reserved":[{"redisDB":null}],"server":{"memory":-9223372036854775808}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var plain map[string]any
		if json.Unmarshal(text, &plain) != nil {
			t.Skip()
		}
		l, err := FromPlain(plain)
		if err != nil {
			return
		}
		first := l.Check()
		if !reflect.DeepEqual(first, l.Check()) {
			t.Error("two checks of one ledger differ")
		}
		l.Ladder()
		NewIndex(l)
		again, err := l.Plain()
		if err != nil {
			t.Fatal(err)
		}
		back, err := FromPlain(again)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(l.Check(), back.Check()) {
			t.Error("the ledger read back is judged differently")
		}
	})
}
