package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Plain returns the ledger as the plain maps, slices, strings and numbers of JSON,
// the form in which the program shows it to the policy pack.
func (l Ledger) Plain() (map[string]any, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encoding the ledger: %w", err)
	}
	var plain map[string]any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, fmt.Errorf("encoding the ledger: %w", err)
	}
	return plain, nil
}

// FromPlain reads what [Ledger.Plain] made. A key the ledger does not have is an
// error: it was written for another version.
func FromPlain(plain map[string]any) (Ledger, error) {
	text, err := json.Marshal(plain)
	if err != nil {
		return Ledger{}, fmt.Errorf("decoding the ledger: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var l Ledger
	if err := decoder.Decode(&l); err != nil {
		return Ledger{}, fmt.Errorf("decoding the ledger: %w", err)
	}
	return l, nil
}
