package declared

import (
	"math"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
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

// ReadInt returns the whole number at key; a fraction is of the wrong type.
func ReadInt(m property.Map, key string) (int, State) {
	n, state := Read[float64](m, key)
	if state != Known {
		return 0, state
	}
	if n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		return 0, WrongType
	}
	return int(n), Known
}

// ReadStrings returns the array of strings at key. One element that is unknown, or no
// string, makes the whole array so.
func ReadStrings(m property.Map, key string) ([]string, State) {
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

// ReadMaps returns the array of objects at key, under the same terms.
func ReadMaps(m property.Map, key string) ([]property.Map, State) {
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
