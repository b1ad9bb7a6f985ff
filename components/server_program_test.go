package components

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pulumi/pulumi-command/sdk/go/command/remote"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/delivery"
	"github.com/alorig/fleet/internal/ledger"
)

// delivered is a server program that an update puts into a directory of this machine, and
// how the shell there is started.
type delivered struct {
	ServerProgramArgs
	t     *testing.T
	shell []string          // "/bin/sh -s" unless set
	stubs map[string]string // scripts in front of commands, by name; $real is the command
}

func newDelivered(t *testing.T, text string) delivered {
	t.Helper()
	file := filepath.Join(t.TempDir(), "built")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(text))
	return delivered{t: t, ServerProgramArgs: ServerProgramArgs{
		Path: file, SHA256: hex.EncodeToString(sum[:]), Architecture: runtime.GOARCH, Directory: filepath.Join(t.TempDir(), "srv", "server"),
	}}
}

const (
	programOne = "#!/bin/sh\n[ \"$1\" = --version ] && echo one\n"
	programTwo = "#!/bin/sh\n[ \"$1\" = --version ] && echo two\n"
)

// feed runs what the resources give a shell on its standard input.
func (d delivered) feed(c command) (string, error) {
	d.t.Helper()
	commands := d.t.TempDir()
	for name, text := range d.stubs {
		real, err := exec.LookPath(name)
		if err != nil {
			d.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(commands, name), []byte("#!/bin/sh\nreal="+real+"\n"+text+"\n"), 0o700); err != nil {
			d.t.Fatal(err)
		}
	}
	words := d.shell
	if words == nil {
		words = strings.Fields(c.does)
	}
	cmd := exec.CommandContext(d.t.Context(), words[0], words[1:]...)
	cmd.Stdin = strings.NewReader(string(c.stdin.(pulumi.String)))
	cmd.Env = []string{"PATH=" + commands + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a stub kills all of it
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// overSSH does what the three resources do, one after the other.
func (d delivered) overSSH() (string, error) {
	d.t.Helper()
	if said, err := d.feed(script(d.place().Prepare())); err != nil {
		return said, err
	}
	text, err := os.ReadFile(d.Path)
	if err != nil {
		d.t.Fatal(err)
	}
	// As the provider does it: in place, with the mode of a file that cannot be run.
	if err := os.WriteFile(d.place().Copy(), text, 0o600); err != nil {
		d.t.Fatal(err)
	}
	return d.install()
}

func (d delivered) install() (string, error) {
	d.t.Helper()
	return d.feed(script(d.place().Install("`pulumi up --replace '**server-program-copy'`")))
}

// onThisMachine is the one command of the local provider.
func (d delivered) onThisMachine() (string, error) {
	d.t.Helper()
	var here command
	for _, r := range register(d.t, d.ServerProgramArgs) {
		if r.TypeToken == "command:local:Command" {
			here = command{does: r.Inputs["create"].StringValue(), stdin: pulumi.String(r.Inputs["stdin"].StringValue())}
		}
	}
	return d.feed(here)
}

// holds compares what lies in the directory, by name, and expects that what has the
// program's name can be run.
func (d delivered) holds(want map[string]string) {
	d.t.Helper()
	entries, err := os.ReadDir(d.Directory)
	if err != nil && len(want) > 0 {
		d.t.Fatal(err)
	}
	got := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(d.Directory, entry.Name()))
		if err != nil {
			d.t.Fatal(err)
		}
		got[entry.Name()] = string(text)
	}
	if !maps.Equal(got, want) {
		d.t.Errorf("the directory holds %q, want %q", got, want)
	}
	if info, err := os.Stat(ledger.ServerProgram(d.Directory)); err == nil && info.Mode() != 0o755 {
		d.t.Errorf("the program has the mode %v", info.Mode())
	}
}

func TestTheServersProgramIsPutInPlace(t *testing.T) {
	t.Parallel()
	for name, deliver := range map[string]func(delivered) (string, error){"over SSH": delivered.overSSH, "on this machine": delivered.onThisMachine} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDelivered(t, programOne)
			for range 2 {
				if said, err := deliver(d); err != nil || said != "" {
					t.Fatalf("%v: %s", err, said)
				}
				d.holds(map[string]string{"alorig-server": programOne})
			}
			// What an earlier delivery has left goes; all else stays.
			left := map[string]string{"alorig-server.0123456789abcdef.new": "half", "alorig-server.log": "log"}
			for file, text := range left {
				write(t, filepath.Join(d.Directory, file), text)
			}
			next := newDelivered(t, programTwo)
			next.Directory = d.Directory
			if said, err := deliver(next); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			next.holds(map[string]string{"alorig-server": programTwo, "alorig-server.log": "log"})
		})
	}
}

// The provider repeats the last step alone when it does not know that it was done.
func TestAProgramThatIsInItsPlaceNeedsNoCopy(t *testing.T) {
	t.Parallel()
	d := newDelivered(t, programOne)
	if said, err := d.overSSH(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if err := os.Chmod(ledger.ServerProgram(d.Directory), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := d.install(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	d.holds(map[string]string{"alorig-server": programOne})
}

func TestAServerThatCannotTakeTheProgramSaysWhy(t *testing.T) {
	t.Parallel()
	onto := func(d *delivered, options string) {
		d.shell = []string{"unshare", "--mount", "/bin/sh", "-c", "mkdir -p " + d.Directory + "; mount -t tmpfs -o " + options + " tmpfs " + d.Directory + " && exec /bin/sh -s"}
	}
	for name, c := range map[string]struct {
		hinder func(*delivered)
		says   []string
		root   bool
	}{
		"of another architecture": {
			hinder: func(d *delivered) { d.Architecture, d.stubs = "amd64", map[string]string{"uname": "echo aarch64"} },
			says:   []string{"is built for amd64, and this server is arm64; run `pulumi config set alorig:serverArchitecture arm64`, and the update again."},
		},
		"of an architecture that nobody builds for": {
			hinder: func(d *delivered) { d.stubs = map[string]string{"uname": "echo riscv64"} },
			says:   []string{"This server is a riscv64, and its program can be built for amd64 and arm64 alone."},
		},
		"with something else in the way": {
			hinder: func(d *delivered) { write(d.t, filepath.Dir(d.Directory), "") },
			says:   []string{"Not a directory", "cannot write to ", "sudo install -d -o "},
		},
		"with a quota": {
			hinder: func(d *delivered) {
				d.stubs = map[string]string{"head": "echo 'Disk quota exceeded' >&2; exit 1"}
			},
			says: []string{"Disk quota exceeded", "takes 32 MiB; make room"},
		},
		"that is read-only": {
			hinder: func(d *delivered) { onto(d, "ro") }, root: true,
			says: []string{"Read-only file system", "mount it writable"},
		},
		"that is full": {
			hinder: func(d *delivered) { onto(d, "size=1m") }, root: true,
			says: []string{"No space left on device", "takes 32 MiB; make room, and run the update again."},
		},
		"mounted with noexec": {
			hinder: func(d *delivered) { onto(d, "noexec") }, root: true,
			says: []string{"Permission denied", "mounted with noexec. Mount it without, or set alorig:serverDirectory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.root && os.Getuid() != 0 {
				t.Skip("mounts a file system, which takes root")
			}
			if err := exec.CommandContext(t.Context(), "unshare", "--mount", "true").Run(); c.root && err != nil {
				t.Skip("this machine lets nobody mount a file system")
			}
			d := newDelivered(t, programOne)
			if err := os.MkdirAll(filepath.Dir(filepath.Dir(d.Directory)), 0o700); err != nil {
				t.Fatal(err)
			}
			c.hinder(&d)
			for way, deliver := range map[string]func(delivered) (string, error){"over SSH": delivered.overSSH, "on this machine": delivered.onThisMachine} {
				said, err := deliver(d)
				if err == nil {
					t.Errorf("%s: delivered: %s", way, said)
				}
				for _, want := range c.says {
					if !strings.Contains(said, want) {
						t.Errorf("%s: says %q, want %q", way, said, want)
					}
				}
				d.holds(nil)
			}
		})
	}
}

// What is wrong with the copy leaves the program that is there.
func TestACopyThatIsNotTheProgramIsRefused(t *testing.T) {
	t.Parallel()
	const again = "run `pulumi up --replace '**server-program-copy'`, which copies it again."
	failing := "#!/bin/sh\necho 'bad system call' >&2\nexit 3\n"
	for name, c := range map[string]struct {
		text, copied string // of the program; of its copy, "" for none
		says         string
	}{
		"cut short":               {text: programTwo, copied: programTwo[:20], says: again},
		"gone":                    {text: programTwo, says: again},
		"does not run":            {text: failing, copied: failing, says: "bad system call\nThe server's program does not run in "},
		"for something else here": {text: "\x7fELF\x02\x01\x01", copied: "\x7fELF\x02\x01\x01", says: "does not run in "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDelivered(t, programOne)
			if said, err := d.overSSH(); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			next := newDelivered(t, c.text)
			next.Directory = d.Directory
			want := map[string]string{"alorig-server": programOne}
			if c.copied != "" {
				write(t, next.place().Copy(), c.copied)
				want[filepath.Base(next.place().Copy())] = c.copied
			}
			said, err := next.install()
			if err == nil || !strings.Contains(said, c.says) {
				t.Errorf("%v: says %q, want %q", err, said, c.says)
			}
			next.holds(want) // the provider does not copy it again by itself
		})
	}
}

// Killed before or after any of its commands, a delivery leaves a whole program under the
// name, and the next one ends it.
func TestAKilledDeliveryIsFinished(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"uname", "mkdir", "chmod", "head", "rm", "cp", "sha256sum", "cut", "sync", "mv"} {
		for when, stub := range map[string]string{"before": "kill -9 0", "after": `"$real" "$@"; kill -9 0`} {
			t.Run(when+" "+name, func(t *testing.T) {
				t.Parallel()
				d := newDelivered(t, programOne)
				if said, err := d.onThisMachine(); err != nil {
					t.Fatalf("%v: %s", err, said)
				}
				next := newDelivered(t, programTwo)
				next.Directory = d.Directory
				next.stubs = map[string]string{name: stub}
				if said, err := next.onThisMachine(); err == nil {
					t.Fatalf("was not killed: %s", said)
				}
				text, err := os.ReadFile(ledger.ServerProgram(d.Directory))
				if err != nil || string(text) != programOne && string(text) != programTwo {
					t.Errorf("the program is %q (%v)", text, err)
				}
				next.stubs = nil
				if said, err := next.onThisMachine(); err != nil {
					t.Fatalf("again: %v: %s", err, said)
				}
				next.holds(map[string]string{"alorig-server": programTwo})
			})
		}
	}
}

// A connection that breaks while the shell still reads leaves nothing begun.
func TestHalfOfTheScriptDoesNothing(t *testing.T) {
	t.Parallel()
	d := newDelivered(t, programOne)
	whole := script(d.place().Prepare())
	whole.stdin = whole.stdin.(pulumi.String)[:len(whole.stdin.(pulumi.String))-10]
	if said, err := d.feed(whole); err == nil {
		t.Errorf("half a script has run: %s", said)
	}
	if _, err := os.Stat(d.Directory); err == nil {
		t.Error("the directory was made")
	}
}

func TestTheScriptsOfTheDeliveryAreSound(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is missing (Debian: shellcheck)")
	}
	here := ServerProgramArgs{Path: "/cache/alorig-server", SHA256: strings.Repeat("4e", 32), Architecture: "amd64", Directory: "/srv/alorig/server"}
	there := here
	there.Shell.Connection = &remote.ConnectionArgs{}
	seen := 0
	for _, r := range append(register(t, here), register(t, there)...) {
		if !r.Inputs["stdin"].HasValue() || !r.Inputs["stdin"].IsString() {
			continue
		}
		seen++
		// Not every step uses every fact.
		cmd := exec.CommandContext(t.Context(), "shellcheck", "--shell=sh", "--exclude=SC2034", "-")
		cmd.Stdin = strings.NewReader(r.Inputs["stdin"].StringValue())
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", r.Name, err, said)
		}
	}
	if seen != 3 {
		t.Errorf("%d scripts, want 3", seen)
	}
}

type resourceRecorder struct {
	mu    sync.Mutex
	found []pulumi.MockResourceArgs
}

func (r *resourceRecorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = append(r.found, args)
	return args.Name + "-id", args.Inputs, nil
}

func (*resourceRecorder) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return args.Args, nil
}

// register returns the resources of a server program, sorted by name.
func register(t *testing.T, args ServerProgramArgs) []pulumi.MockResourceArgs {
	t.Helper()
	r := &resourceRecorder{}
	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		_, err := NewServerProgram(ctx, "server-program", &args)
		return err
	}, pulumi.WithMocks("alorig", ourStack, r))
	if err != nil {
		t.Fatal(err)
	}
	found := slices.DeleteFunc(r.found, func(a pulumi.MockResourceArgs) bool { return a.TypeToken == "pulumi:pulumi:Stack" })
	slices.SortFunc(found, func(a, b pulumi.MockResourceArgs) int { return cmp.Compare(a.TypeToken+a.Name, b.TypeToken+b.Name) })
	return found
}

func kinds(found []pulumi.MockResourceArgs) string {
	var all []string
	for _, r := range found {
		all = append(all, r.TypeToken+" "+r.Name)
	}
	return strings.Join(all, "\n")
}

func TestTheResourcesOfTheServersProgram(t *testing.T) {
	t.Parallel()
	there := ServerProgramArgs{
		Path: "/cache/alorig-server", SHA256: strings.Repeat("4e", 32), Architecture: "arm64", Directory: "/srv/alorig/server",
		Shell: Shell{Connection: &remote.ConnectionArgs{Host: pulumi.String("192.0.2.1"), HostKey: pulumi.String("ssh-ed25519 AAAA")}},
	}
	found := register(t, there)
	want := "alorig:fleet:ServerProgram server-program\ncommand:remote:Command server-program\ncommand:remote:Command server-program-directory\ncommand:remote:CopyToRemote server-program-copy"
	if kinds(found) != want {
		t.Fatalf("registers\n%s\nwant\n%s", kinds(found), want)
	}
	copied := found[3].Inputs
	if path := copied["remotePath"].StringValue(); path != "/srv/alorig/server/alorig-server.4e4e4e4e4e4e4e4e.new" {
		t.Errorf("copies to %s", path)
	}
	if source := copied["source"].AssetValue(); source.Path != "/cache/alorig-server" {
		t.Errorf("copies %+v", source)
	}
	for _, r := range found[1:3] {
		if r.Inputs["create"].StringValue() != "/bin/sh -s" || r.Inputs["delete"].HasValue() || r.Inputs["logging"].StringValue() != "none" {
			t.Errorf("%s is %v", r.Name, r.Inputs)
		}
	}
	// A copy that was ordered again is installed again.
	if triggers := found[1].Inputs["triggers"].ArrayValue(); len(triggers) != 1 || triggers[0].StringValue() != "server-program-copy-id" {
		t.Errorf("the installation is triggered by %v", triggers)
	}

	// Another program changes each step in place and replaces none.
	next := there
	next.SHA256 = strings.Repeat("5f", 32)
	for i, r := range register(t, next)[1:3] {
		if r.Inputs["stdin"].StringValue() == found[i+1].Inputs["stdin"].StringValue() {
			t.Errorf("another program does not run %s", r.Name)
		}
		if !r.Inputs["triggers"].DeepEquals(found[i+1].Inputs["triggers"]) {
			t.Errorf("another program replaces %s", r.Name)
		}
	}

	// A preview that builds nothing names no file of this machine.
	next.Path, next.SHA256 = "", ""
	offline := register(t, next)
	if kinds(offline) != want || offline[0].Inputs["sha256"].StringValue() != delivery.BuiltLater || offline[3].Inputs["source"].AssetValue().Path != "" {
		t.Errorf("offline:\n%s\n%v", kinds(offline), offline[3].Inputs)
	}

	next.Shell = Shell{DockerHost: "unix:///var/run/docker.sock"}
	if got := kinds(register(t, next)); got != "alorig:fleet:ServerProgram server-program\ncommand:local:Command server-program" {
		t.Errorf("on this machine:\n%s", got)
	}
}

func TestTheCommandOfAVerbIsShort(t *testing.T) {
	t.Parallel()
	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		program, err := NewServerProgram(ctx, "server-program", &ServerProgramArgs{Architecture: "amd64", Directory: "/srv/alorig/server"})
		if err == nil && program.Command("put-site") != "'/srv/alorig/server/alorig-server' put-site" {
			t.Errorf("runs %s", program.Command("put-site"))
		}
		if _, err := NewServerProgram(ctx, "half", &ServerProgramArgs{Path: "/cache/alorig-server"}); err == nil || !strings.Contains(err.Error(), `has the file "/cache/alorig-server" and the hash ""`) {
			t.Errorf("a file without its hash: %v", err)
		}
		return err
	}, pulumi.WithMocks("alorig", ourStack, &resourceRecorder{}))
	if err != nil {
		t.Error(err)
	}
}

// What the provider prints of a failure is the shell's line and what went wrong.
func TestAFailureIsTwoLines(t *testing.T) {
	t.Parallel()
	d := newDelivered(t, programOne)
	said, err := d.install()
	if err == nil || bytes.Count([]byte(said), []byte("\n")) > 2 || strings.Contains(said, "fail()") {
		t.Errorf("%v: %s", err, said)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
