package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
)

// kind is what a value is.
type kind int

const (
	absent    kind = iota
	null           // written down, and empty
	words          // a text
	number         // as JSON writes it
	truth          // true or false
	tree           // an object
	row            // a list
	encrypted      // a text that is not decrypted here
)

// storage is how a value stands in the stack file.
type storage int

const (
	plain  storage = iota // for everyone to read
	sealed                // encrypted
	unseen                // one or the other: Pulumi tells a program only that the object holds something encrypted
)

// value is one value of a configuration, or a member of one.
type value struct {
	kind    kind
	text    string // of words, a number and a truth value
	members map[string]value
	row     []value
	stored  storage // of what has no members
}

// unset reports what counts as not given. The defaults of Pulumi.yaml for what is required
// are empty, so that whatever is missing is reported here, with its remedy.
func (v value) unset() bool {
	return v.kind == absent || v.kind == null || v.kind == words && v.text == "" || v.empty()
}

func (v value) empty() bool {
	return v.kind == tree && len(v.members) == 0 || v.kind == row && len(v.row) == 0
}

// decode reads a structured value in the form in which Pulumi hands it over. An object
// with the one member "secure" is what Pulumi writes for an encrypted text.
func decode(text string, stored storage) (value, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var read any
	if err := decoder.Decode(&read); err != nil {
		return value{}, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return value{}, errors.New("more than one value")
	}
	return wrap(read, stored), nil
}

func wrap(read any, stored storage) value {
	switch r := read.(type) {
	case nil:
		return value{kind: null}
	case string:
		return value{kind: words, text: r, stored: stored}
	case json.Number:
		return value{kind: number, text: r.String(), stored: stored}
	case bool:
		return value{kind: truth, text: fmt.Sprint(r), stored: stored}
	case []any:
		v := value{kind: row}
		for _, element := range r {
			v.row = append(v.row, wrap(element, stored))
		}
		return v
	case map[string]any:
		if _, secure := r["secure"].(string); secure && len(r) == 1 && stored == plain {
			return value{kind: encrypted, stored: sealed}
		}
		v := value{kind: tree, members: map[string]value{}}
		for name, member := range r {
			v.members[name] = wrap(member, stored)
		}
		return v
	default: // the decoder gives nothing else
		return value{}
	}
}

// fromStored reads a value of a stack file. Nothing is decrypted.
func fromStored(v config.Value) (value, error) {
	raw, err := v.Value(config.NopDecrypter)
	switch {
	case err != nil:
		return value{}, err
	case v.Object():
		return decode(raw, plain)
	case v.Secure():
		return value{kind: encrypted, stored: sealed}, nil
	default:
		return value{kind: words, text: raw}, nil
	}
}

// beside returns the value with what the stack file shows of its storage. A value that the
// file has otherwise comes from elsewhere, and stays unseen.
func (v value) beside(file value) value {
	switch v.kind {
	case tree:
		members := map[string]value{}
		for name, member := range v.members {
			members[name] = member.beside(file.members[name])
		}
		v.members = members
	case row:
		elements := slices.Clone(v.row)
		for i := range elements {
			if i < len(file.row) {
				elements[i] = elements[i].beside(file.row[i])
			}
		}
		v.row = elements
	case words, number, truth:
		switch {
		case v.stored != unseen:
		case file.kind == encrypted:
			v.stored = sealed
		case file.kind == v.kind && file.text == v.text:
			v.stored = plain
		}
	case absent, null, encrypted:
	}
	return v
}

// unseen lists what below the path is kept nobody knows how, sorted.
func (v value) unseen(path string) []string {
	var paths []string
	switch v.kind {
	case tree:
		for _, name := range slices.Sorted(maps.Keys(v.members)) {
			paths = append(paths, v.members[name].unseen(member(path, name))...)
		}
	case row:
		for i, element := range v.row {
			paths = append(paths, element.unseen(index(path, i))...)
		}
	case words, number, truth:
		if v.stored == unseen && v.text != "" {
			paths = append(paths, path)
		}
	case absent, null, encrypted:
	}
	return paths
}

// secretive are texts that may hold a secret which was pasted where another value belongs:
// an address with a password, USER:PASSWORD, an object, a key or a token. A token is one run of letters and
// digits that is longer than a zone's id.
var secretive = regexp.MustCompile(`^[{\[]|://[^/]*@|^[^/:]+:[^/:]*[g-zG-Z]|PRIVATE KEY|[[:cntrl:]]|[A-Za-z0-9+/=_-]{33}`)

// digest is a long run of digits that is no secret.
var digest = regexp.MustCompile(`sha256:[0-9a-f]+`)

// is describes a value that is not what is accepted. It quotes only what stands in plain
// text, is short, and does not look like a secret.
func (v value) is() string {
	switch v.kind {
	case words:
		switch {
		case v.stored != plain:
			return "is kept encrypted and is not of the accepted form"
		case len(v.text) > 100 || secretive.MatchString(digest.ReplaceAllString(v.text, "")):
			return "is not of the accepted form (its value is not shown)"
		default:
			return fmt.Sprintf("is %q", v.text)
		}
	case number:
		if v.stored == plain {
			return "is the number " + v.text
		}
		return "is a number"
	case truth:
		if v.stored == plain {
			return "is the truth value " + v.text
		}
		return "is a truth value"
	case tree:
		return "is an object"
	case row:
		return "is a list"
	case encrypted:
		return "is one encrypted text"
	default:
		return "is not set"
	}
}

// member is the path of an object's member, as Pulumi's --path takes it.
func member(path, name string) string {
	for i, r := range name {
		if r != '_' && (r < '0' || r > '9' || i == 0) && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return path + `["` + strings.ReplaceAll(name, `"`, `\"`) + `"]`
		}
	}
	if name == "" {
		return path + `[""]`
	}
	return path + "." + name
}

// index is the path of a list's element.
func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
