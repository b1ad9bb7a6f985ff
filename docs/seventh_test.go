package docs

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/markdown"
)

// seventh is the README's app number seven.
type seventh struct {
	entry     string // of the ledger
	stackFile string // stacks/notes.go
	image     string // its name
	reference string
	answer    string // what check says of it
}

// readSeventh reads the example out of the README.
func readSeventh() (seventh, error) {
	document, err := markdown.Read(filepath.Join(root, "README.md"))
	if err != nil {
		return seventh{}, err
	}
	var code, plain []string
	for _, b := range document.Blocks {
		switch {
		case b.Section != "Add app number seven":
		case b.Language == "go":
			code = append(code, b.Text)
		default:
			plain = append(plain, b.Text)
		}
	}
	if len(code) != 2 || len(plain) != 2 {
		return seventh{}, fmt.Errorf("the README's example has %d Go blocks and %d others, want an entry, a file, a command and an answer", len(code), len(plain))
	}
	image := regexp.MustCompile(`pulumi config set --path 'alorig:images\["([^"]+)"\]' (\S+)`).FindStringSubmatch(plain[0])
	if image == nil {
		return seventh{}, fmt.Errorf("the README's example sets no image: %s", plain[0])
	}
	return seventh{
		entry: code[0], stackFile: code[1],
		image: image[1], reference: strings.ReplaceAll(image[2], "DIGEST", strings.Repeat("20be73c9", 8)),
		answer: plain[1],
	}, nil
}

// build compiles the command with the example in place, and returns it with a project
// whose settings know the example's image.
func (s seventh) build(dir string) (command string, err error) {
	repository, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	table := filepath.Join(repository, "internal", "ledger", "alorig.go")
	grown, err := withEntry(table, s.entry)
	if err != nil {
		return "", err
	}
	settings, err := os.ReadFile(filepath.Join(repository, "Pulumi.prod.yaml"))
	if err != nil {
		return "", err
	}
	project, err := os.ReadFile(filepath.Join(repository, "Pulumi.yaml"))
	if err != nil {
		return "", err
	}
	images := "  alorig:images:\n"
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		table: filepath.Join(dir, "alorig.go"),
		filepath.Join(repository, "stacks", "notes.go"): filepath.Join(dir, "notes.go"),
	}})
	if err != nil {
		return "", err
	}
	for name, text := range map[string]string{
		"alorig.go":        grown,
		"notes.go":         s.stackFile,
		"overlay.json":     string(overlay),
		"Pulumi.yaml":      string(project),
		"Pulumi.prod.yaml": strings.Replace(string(settings), images, images+"    "+s.image+": "+s.reference+"\n", 1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	command = filepath.Join(dir, "alorig")
	compile := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", command, "./cmd/alorig")
	compile.Dir = repository
	if said, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the README's example does not compile: %w\n%s", err, said)
	}
	return command, nil
}

// withEntry is the ledger's source with an entry at the end of Apps.
func withEntry(path, entry string) (string, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, source, 0)
	if err != nil {
		return "", err
	}
	end := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if field, ok := n.(*ast.KeyValueExpr); ok {
			if key, ok := field.Key.(*ast.Ident); ok && key.Name == "Apps" {
				end = int(field.Value.End()) - int(file.FileStart) - 1 // the closing brace
			}
		}
		return true
	})
	if end == 0 {
		return "", fmt.Errorf("%s has no field Apps", path)
	}
	return string(source[:end]) + entry + string(source[end:]), nil
}

// builtExample is the command with the README's app in it, and a project for it.
type builtExample struct {
	seventh
	dir, command string
}

// exampleDir is where [example] has built; empty if no test has asked for it.
var exampleDir string

// example builds the example once for all tests here.
var example = sync.OnceValues(func() (builtExample, error) {
	s, err := readSeventh()
	if err != nil {
		return builtExample{}, err
	}
	if exampleDir, err = os.MkdirTemp("", "alorig-readme-"); err != nil {
		return builtExample{}, err
	}
	command, err := s.build(exampleDir)
	return builtExample{s, exampleDir, command}, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if exampleDir != "" {
		_ = os.RemoveAll(exampleDir)
	}
	os.Exit(code)
}

// alorig runs the command and returns what it prints and its exit code.
func alorig(t *testing.T, args ...string) (string, int) {
	t.Helper()
	built, err := example()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(built.command, args...)
	command.Dir = built.dir
	command.Env = append(os.Environ(), "NO_COLOR=1")
	said, err := command.CombinedOutput()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	return string(said), command.ProcessState.ExitCode()
}

func TestAppNumberSeven(t *testing.T) {
	t.Parallel()
	built, err := example()
	if err != nil {
		t.Fatal(err)
	}
	said, code := alorig(t, "check", "--dir", built.dir)
	if said != built.answer || code != 0 {
		t.Errorf("check ends with %d and says\n%s\nThe README says\n%s", code, said, built.answer)
	}
}

// The verdict that the README shows is the one of the fleet without the example.
func TestTheVerdictOfTheREADME(t *testing.T) {
	t.Parallel()
	built, err := example()
	if err != nil {
		t.Fatal(err)
	}
	said, code := alorig(t, "check", "--dir", built.dir, "--rollout", "asms")
	if !strings.Contains(read(t, "README.md"), "```\n"+said+"```\n") || code != 0 {
		t.Errorf("the README does not show what check says (exit code %d):\n%s", code, said)
	}
}

// The refusal that the README shows is the one of an app that takes another's Redis DB.
func TestTheRefusalOfTheREADME(t *testing.T) {
	t.Parallel()
	l := ledger.Alorig()
	l.Apps = append(l.Apps, ledger.App{Name: "notes", KeyPrefix: "notes:", RedisDB: 3})
	for _, f := range l.Check() {
		if f.Rule == "redis-allocation" {
			if want := "refused " + f.Rule + "\n  " + f.String() + "\nRefused."; !strings.Contains(read(t, "README.md"), want) {
				t.Errorf("the README does not show the refusal\n%s", want)
			}
			return
		}
	}
	t.Error("nothing refuses a Redis DB that is taken")
}
