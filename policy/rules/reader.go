package rules

import (
	"errors"
	"fmt"
	"math"

	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"github.com/alorig/fleet/internal/ledger"
)

// State is the answer to "what stands there?". Reading a property has four answers;
// a rule says what it does with each, because the SDK's own readers panic on all but
// the first.
type State int

// The four answers.
const (
	Absent    State = iota // not set, or null
	Known                  // a value of the type asked for
	Unknown                // not known before the update
	WrongType              // a value of another type
)

// Read returns what stands at key. T is one of string, bool, float64, [property.Array]
// and [property.Map]; a secret is read like any other value, so its reader must not
// show it.
func Read[T property.GoValue](m property.Map, key string) (T, State) {
	return As[T](m.Get(key))
}

// As returns a value as T.
func As[T property.GoValue](v property.Value) (T, State) {
	var none T
	switch {
	case v.IsComputed():
		return none, Unknown
	case v.IsNull():
		return none, Absent
	}
	var got any
	switch any(none).(type) {
	case string:
		if v.IsString() {
			got = v.AsString()
		}
	case bool:
		if v.IsBool() {
			got = v.AsBool()
		}
	case float64:
		if v.IsNumber() {
			got = v.AsNumber()
		}
	case property.Array:
		if v.IsArray() {
			got = v.AsArray()
		}
	case property.Map:
		if v.IsMap() {
			got = v.AsMap()
		}
	}
	if t, ok := got.(T); ok {
		return t, Known
	}
	return none, WrongType
}

// readInt returns the whole number at key; a fraction is of the wrong type.
func readInt(m property.Map, key string) (int, State) {
	n, state := Read[float64](m, key)
	if state != Known {
		return 0, state
	}
	if n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		return 0, WrongType
	}
	return int(n), Known
}

// readStrings returns the array of strings at key. One element that is unknown, or no
// string, makes the whole array so.
func readStrings(m property.Map, key string) ([]string, State) {
	a, state := Read[property.Array](m, key)
	if state != Known {
		return nil, state
	}
	texts := make([]string, 0, a.Len())
	for _, v := range a.All {
		s, state := As[string](v)
		switch state {
		case Known:
			texts = append(texts, s)
		case Unknown:
			return nil, Unknown
		case Absent, WrongType:
			return nil, WrongType
		}
	}
	return texts, Known
}

// readMaps returns the array of objects at key, under the same terms.
func readMaps(m property.Map, key string) ([]property.Map, State) {
	a, state := Read[property.Array](m, key)
	if state != Known {
		return nil, state
	}
	maps := make([]property.Map, 0, a.Len())
	for _, v := range a.All {
		e, state := As[property.Map](v)
		switch state {
		case Known:
			maps = append(maps, e)
		case Unknown:
			return nil, Unknown
		case Absent, WrongType:
			return nil, WrongType
		}
	}
	return maps, Known
}

// describe explains a state that is not Known, to follow "has no X".
func describe(s State) string {
	switch s {
	case Unknown:
		return " that is known at preview"
	case WrongType:
		return " of the right type"
	case Known, Absent:
	}
	return ""
}

// unreadable says why a property cannot be judged; "" when it can.
func unreadable(property string, s State) string {
	switch s {
	case Unknown:
		return property + " is not known at preview"
	case WrongType:
		return property + " is of the wrong type"
	case Known, Absent:
	}
	return ""
}

// plainLedger returns the ledger that the Server component declares, as plain values.
func plainLedger(host Resource) (map[string]any, error) {
	m, state := Read[property.Map](host.Props, "ledger")
	if state != Known {
		return nil, errors.New("has no ledger" + describe(state))
	}
	plain, err := plainValue(property.New(m))
	if err != nil {
		return nil, fmt.Errorf("ledger%w", err)
	}
	return plain.(map[string]any), nil
}

// declaredLedger reads the ledger that the Server component declares.
func declaredLedger(host Resource) (ledger.Ledger, error) {
	plain, err := plainLedger(host)
	if err != nil {
		return ledger.Ledger{}, err
	}
	return ledger.FromPlain(plain)
}

// plainValue turns a property into the plain values of JSON. Its error names the path.
func plainValue(v property.Value) (any, error) {
	switch {
	case v.IsNull():
		return nil, nil
	case v.IsString():
		return v.AsString(), nil
	case v.IsBool():
		return v.AsBool(), nil
	case v.IsNumber():
		return v.AsNumber(), nil
	case v.IsArray():
		list := make([]any, 0, v.AsArray().Len())
		for i, e := range v.AsArray().All {
			p, err := plainValue(e)
			if err != nil {
				return nil, fmt.Errorf("[%d]%w", i, err)
			}
			list = append(list, p)
		}
		return list, nil
	case v.IsMap():
		object := make(map[string]any, v.AsMap().Len())
		for k, e := range v.AsMap().AllStable {
			p, err := plainValue(e)
			if err != nil {
				return nil, fmt.Errorf(".%s%w", k, err)
			}
			object[k] = p
		}
		return object, nil
	case v.IsComputed():
		return nil, errors.New(" is not known at preview")
	default:
		return nil, errors.New(" is neither text, number, list nor object")
	}
}
