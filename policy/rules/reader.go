package rules

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

// describe explains a state that is not Known, to follow "has no X".
func describe(s declared.State) string {
	switch s {
	case declared.Unknown:
		return " that is known at preview"
	case declared.WrongType:
		return " of the right type"
	case declared.Known, declared.Absent:
	}
	return ""
}

// unreadable says why a property cannot be judged; "" when it can.
func unreadable(property string, s declared.State) string {
	switch s {
	case declared.Unknown:
		return property + " is not known at preview"
	case declared.WrongType:
		return property + " is of the wrong type"
	case declared.Known, declared.Absent:
	}
	return ""
}

// plainLedger returns the ledger that the Server component declares, as plain values.
func plainLedger(server declared.Resource) (map[string]any, error) {
	m, state := declared.Read[property.Map](server.Props, "ledger")
	if state != declared.Known {
		return nil, errors.New("has no ledger" + describe(state))
	}
	plain, err := plainValue(property.New(m))
	if err != nil {
		return nil, fmt.Errorf("ledger%w", err)
	}
	return plain.(map[string]any), nil
}

// declaredLedger reads the ledger that the Server component declares.
func declaredLedger(server declared.Resource) (ledger.Ledger, error) {
	plain, err := plainLedger(server)
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
