package rules

import (
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"github.com/alorig/fleet/internal/fleet"
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

// elements returns the elements of the array at key; none when there is none. An
// unknown array, or a value that is no array, is reported by ok.
func elements(m property.Map, key string) (vs []property.Value, ok bool) {
	a, state := Read[property.Array](m, key)
	switch state {
	case Known:
		return a.AsSlice(), true
	case Absent:
		return nil, true
	case Unknown, WrongType:
	}
	return nil, false
}

// declaredLedger reads the ledger that the Host component declares.
func declaredLedger(host Resource) (fleet.Ledger, error) {
	m, state := Read[property.Map](host.Props, "ledger")
	if state != Known {
		return fleet.Ledger{}, fmt.Errorf("the Host component shows no ledger")
	}
	plain, err := plainValue(property.New(m))
	if err != nil {
		return fleet.Ledger{}, err
	}
	object, _ := plain.(map[string]any)
	return fleet.FromPlain(object)
}

// plainValue turns a property into plain JSON values; an unknown inside is an error.
func plainValue(v property.Value) (any, error) {
	switch {
	case v.IsNull():
		return nil, nil
	case v.IsString():
		return v.AsString(), nil
	case v.IsBool():
		return v.AsBool(), nil
	case v.IsNumber():
		return json.Number(fmt.Sprint(v.AsNumber())), nil
	case v.IsArray():
		var list []any
		for _, e := range v.AsArray().AsSlice() {
			p, err := plainValue(e)
			if err != nil {
				return nil, err
			}
			list = append(list, p)
		}
		return list, nil
	case v.IsMap():
		object := map[string]any{}
		for k, e := range v.AsMap().AllStable {
			p, err := plainValue(e)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			object[k] = p
		}
		return object, nil
	default:
		return nil, fmt.Errorf("a value is not known at preview")
	}
}
