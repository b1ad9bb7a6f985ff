package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/encoding"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// findProject reads the project in the named directory, or else the nearest one at or above
// the working directory. The directory it returns is absolute.
func findProject(named string) (string, *workspace.Project, error) {
	start, err := filepath.Abs(named)
	if err != nil {
		return "", nil, fmt.Errorf("finding the project's directory: %w", err)
	}
	var unread error // of a file that may be the project's
	for directory, last := start, ""; directory != last; last, directory = directory, filepath.Dir(directory) {
		file := filepath.Join(directory, projectFile)
		project, err := workspace.LoadProject(file)
		switch {
		case err == nil && project.Name == Project:
			return directory, project, nil
		case err == nil && named != "":
			return "", nil, fmt.Errorf("%s is of the project %s, not %s; name the fleet's directory with --dir", file, project.Name, Project)
		case err != nil && !errors.Is(err, fs.ErrNotExist) && unread == nil:
			unread = fmt.Errorf("reading the project: %w", err)
		}
		if named != "" {
			break
		}
	}
	switch {
	case unread != nil:
		return "", nil, unread
	case named != "":
		return "", nil, fmt.Errorf("there is no %s; run this in the project's directory, or name it with --dir", filepath.Join(start, projectFile))
	default:
		return "", nil, fmt.Errorf("%s does not lie in the fleet repository; change to a directory of it, or name the project with --dir", start)
	}
}

const projectFile = "Pulumi.yaml"

// configFileVariable is how the Pulumi CLI is told of another stack file for all of its
// commands. What is judged is what an update from the same shell would read.
const configFileVariable = "PULUMI_OPTION_CONFIG_FILE"

// stackFile returns the file that the Pulumi CLI would read for the stack.
func stackFile(directory, stack string) string {
	if file := os.Getenv(configFileVariable); file != "" {
		if filepath.IsAbs(file) {
			return file
		}
		return filepath.Join(directory, file)
	}
	return filepath.Join(directory, "Pulumi."+stack+".yaml")
}

// StackName checks the name of a stack and takes organization and project off it: a stack
// file is called by the last part.
func StackName(name string) (string, error) {
	parts := strings.Split(name, "/")
	wrong := len(parts) > 3 || len(parts) == 3 && parts[1] != Project
	for _, part := range parts {
		_, err := tokens.ParseStackName(part)
		wrong = wrong || err != nil || strings.HasPrefix(part, ".")
	}
	if wrong {
		return "", fmt.Errorf("%q names no stack; accepted: the STACK of Pulumi.STACK.yaml", name)
	}
	return parts[len(parts)-1], nil
}

// Open reads the settings of a stack as Pulumi does: keys without a namespace are the
// project's, and the defaults of Pulumi.yaml count. Nothing is decrypted, so nobody needs a
// passphrase to judge a pull request. The project is that in the named directory, or else
// the nearest one at or above the working directory.
func Open(named, stack string) (Config, error) {
	directory, project, err := findProject(named)
	if err != nil {
		return Config{}, err
	}
	file := stackFile(directory, stack)
	stored, err := readFile(file, project)
	if err != nil {
		return Config{}, err
	}
	own := maps.Clone(stored)
	if err := applyDefaults(stored, project); err != nil {
		return Config{}, err
	}
	c := Config{Directory: directory, values: map[string]value{}, others: map[string]value{}, inherited: map[string]bool{}, file: filepath.Base(file)}
	for key, stands := range stored {
		v, err := fromStored(stands)
		if err != nil { // the text of the error could quote a value
			return Config{}, fmt.Errorf("%s: %s is not of a form that Pulumi writes; set it again with pulumi config set", file, key)
		}
		if _, known := schema[key.Name()]; known && key.Namespace() == Project {
			c.values[key.Name()] = v
			_, set := own[key]
			c.inherited[key.Name()] = !set
		} else {
			c.others[key.String()] = v
		}
	}
	return c, nil
}

// readFile reads a stack file. Its errors quote no value: it may hold a secret.
func readFile(file string, project *workspace.Project) (config.Map, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && os.Getenv(configFileVariable) != "" {
		return nil, fmt.Errorf("there is no %s, which %s names; correct or unset that", file, configFileVariable)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s; run this in the project's directory, or name a stack that has a file with --stack", file)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the stack's settings: %w", err)
	}
	if err := checkKeys(text, string(project.Name)); err != nil {
		return nil, fmt.Errorf("%s is not a Pulumi stack file: %w", file, err)
	}
	read, err := workspace.LoadProjectStack(nil, project, file)
	if err != nil {
		return nil, fmt.Errorf("%s is not a Pulumi stack file: a part of it is not of the form that Pulumi writes; compare it with the committed one", file)
	}
	return read.Config, nil
}

// harmless is what the YAML parser says without quoting what it reads.
var harmless = regexp.MustCompile(`line \d+: (did not find|could not find|found|mapping (values|keys) are not|block .* not allowed)[^\n]*|control characters are not allowed|(invalid|incomplete) [a-z ]*UTF-8[a-z ]*`)

// alreadyDefined is what it says of a key that an object has twice.
var alreadyDefined = regexp.MustCompile(`line (\d+): mapping key .* already defined at line (\d+)`)

// checkKeys reports what Pulumi would not read, or would read differently from one time to
// the next.
func checkKeys(text []byte, project string) error {
	text = []byte(strings.TrimPrefix(string(text), "\ufeff"))
	var raw any
	if err := encoding.YAML.Unmarshal(text, &raw); err != nil {
		if lines := alreadyDefined.FindStringSubmatch(err.Error()); lines != nil {
			return fmt.Errorf("line %s has a key that line %s has already; keep one", lines[1], lines[2])
		}
		// Other words of the parser could quote a value.
		if said := harmless.FindString(err.Error()); said != "" {
			return fmt.Errorf("it cannot be read as YAML: %s", said)
		}
		return errors.New("it cannot be read as YAML; write a value that begins with another sign than a letter or a digit in quotes")
	}
	top, ok := raw.(map[string]any)
	if !ok && raw != nil {
		return errors.New("it is no YAML object")
	}
	configured, ok := top["config"].(map[string]any)
	if !ok {
		if top["config"] != nil {
			return errors.New("config is no object of keys and values")
		}
		return nil
	}
	written := map[config.Key]string{}
	for _, key := range slices.Sorted(maps.Keys(configured)) {
		full := key
		if !strings.Contains(key, ":") {
			full = project + ":" + key
		}
		parsed, err := config.ParseKey(full)
		if err != nil {
			return fmt.Errorf("config has the key %q; accepted: NAMESPACE:NAME, or the NAME alone of a key of this project", key)
		}
		if other, twice := written[parsed]; twice {
			return fmt.Errorf("config has %s twice, as %q and %q, of which Pulumi takes either; keep one", parsed, other, key)
		}
		written[parsed] = key
	}
	return nil
}

// applyDefaults sets what the stack leaves open to what Pulumi.yaml says, as an update does
// (mergeConfig in pkg/workspace of Pulumi 3.259).
func applyDefaults(stored config.Map, project *workspace.Project) error {
	for _, name := range slices.Sorted(maps.Keys(project.Config)) {
		declared := project.Config[name]
		given := declared.Value
		if declared.Default != nil {
			given = declared.Default
		}
		full := name
		if !strings.Contains(name, ":") {
			full = string(project.Name) + ":" + name
		}
		key, err := config.ParseKey(full)
		if err != nil {
			return fmt.Errorf("%s: config has the key %q; accepted: NAMESPACE:NAME", projectFile, name)
		}
		if _, set, err := stored.Get(key, true); err != nil || set || given == nil {
			continue
		}
		v, err := defaultValue(given)
		if err == nil {
			err = stored.Set(key, v, true)
		}
		if err != nil {
			return fmt.Errorf("%s: the default of %s: %w", projectFile, name, err)
		}
	}
	return nil
}

func defaultValue(given any) (config.Value, error) {
	switch given.(type) {
	case string, int, bool:
		return config.NewValue(fmt.Sprint(given)), nil
	}
	simple, err := workspace.SimplifyMarshalledValue(given)
	if err != nil {
		return config.Value{}, err
	}
	encoded, err := json.Marshal(simple)
	if err != nil {
		return config.Value{}, err
	}
	return config.NewObjectValue(string(encoded)), nil
}
