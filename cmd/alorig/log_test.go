package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/document"
)

func at(minutes int) time.Time {
	return time.Date(2026, 7, 1, 22, minutes, 0, 0, time.UTC)
}

func when(minutes int) *time.Time {
	t := at(minutes)
	return &t
}

var told = document.Log{
	Version: document.Version,
	Entries: []document.LogEntry{
		{Time: at(0), Seconds: 1, Verb: "put-site", App: "psydge", Subject: "too old", Who: "alorig"},
		{Time: at(10), Seconds: 12.34, Verb: "take-over", App: "psydge", Subject: "psydge_backend", Digest: "registry/psydge@sha256:1", Who: "alorig from 203.0.113.7", Did: []string{"psydge_backend renamed", "Caddy asks \x1b[2J"}},
		{Time: at(30), Seconds: 0.04, Verb: "put-redis-user", App: "psydge", Subject: "psydge", Who: "alorig", Did: []string{}},
		{Time: at(40), Seconds: 3, Verb: "migrate", App: "psydge", Subject: "psydge_migrate", Who: "alorig", Failed: true, Error: "first line\nsecond line"},
	},
	Containers: []document.LogContainer{
		{Name: "psydge_backend", Image: "registry/psydge@sha256:1", Status: "running", Health: "healthy", StartedAt: when(20), FinishedAt: when(15), RestartCount: 3},
		{Name: "psydge_beat", Image: "registry/psydge@sha256:1", Status: "running", Health: "unhealthy", StartedAt: when(1)},
		{Name: "psydge_celery", Image: "registry/psydge@sha256:1", Status: "exited", StartedAt: when(2), FinishedAt: when(50), ExitCode: 137, OOMKilled: true},
		{Name: "psydge_next", Status: "created"},
	},
}

func TestTheLogIsToldInOrder(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	showLog(&out, told, at(5), time.FixedZone("PKT", 5*60*60))
	want := `2026-07-02 03:10:00 PKT  alorig from 203.0.113.7  take-over psydge_backend  12.3 s  done
    registry/psydge@sha256:1
    psydge_backend renamed
    Caddy asks \x1b[2J
2026-07-02 03:15:00 PKT  Docker                   psydge_backend                    ended
2026-07-02 03:20:00 PKT  Docker                   psydge_backend                    started again by Docker, 3 times since it was made
    registry/psydge@sha256:1
2026-07-02 03:30:00 PKT  alorig                   put-redis-user psydge     0.0 s   unchanged
2026-07-02 03:40:00 PKT  alorig                   migrate psydge_migrate    3.0 s   FAILED
    first line
    second line
2026-07-02 03:50:00 PKT  Docker                   psydge_celery                     ended with exit code 137, killed for lack of memory
now psydge_beat is unhealthy.
now psydge_celery is exited: ended with exit code 137, killed for lack of memory.
now psydge_next is created.
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	showLog(&out, document.Log{Unseen: "no Docker"}, at(0), time.UTC)
	if want := "Nothing has been logged since 2026-07-01 22:00:00 UTC.\nnot known The containers could not be looked at: no Docker\n"; out.String() != want {
		t.Errorf("%q", out.String())
	}
}

func TestTheServerTellsItsLog(t *testing.T) {
	f := newFaraway(t)
	directory := filepath.Join(t.TempDir(), "server")
	path := filepath.Join(f.dir, "Pulumi.prod.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("  alorig:tls: internal\n"), []byte("  alorig:tls: internal\n  alorig:serverDirectory: "+directory+"\n"), 1)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	log := func(args ...string) (int, string, string) {
		t.Helper()
		code, stdout, stderr := alorig(t, append([]string{"log", "--stack", "prod", "--dir", f.dir}, args...)...)
		if strings.Contains(stdout+stderr, "PRIVATE KEY") {
			t.Errorf("shows the private key: %s%s", stdout, stderr)
		}
		return code, stdout, stderr
	}
	f.AllowCommands()
	if code, _, stderr := log(); code != exitFault || !strings.Contains(stderr, "there is no program on the server that keeps a log") || !strings.Contains(stderr, "run `pulumi up` once") {
		t.Errorf("without a program: exit code %d: %s", code, stderr)
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	program := func(says string) {
		t.Helper()
		text := "#!/bin/sh\necho \"$*\" >\"${0%/*}/asked\"\n" + says + "\n"
		if err := os.WriteFile(filepath.Join(directory, "alorig-server"), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	now := told
	now.Entries = []document.LogEntry{{Time: time.Now().Add(-time.Minute), Verb: "take-over", Subject: "psydge_backend", Who: "alorig", Did: []string{}}}
	line, err := document.Write(now)
	if err != nil {
		t.Fatal(err)
	}
	program("cat <<'END'\n" + line + "\nEND")
	code, stdout, stderr := log("psydge", "--since", "90m")
	if code != exitClean || !strings.Contains(stdout, "take-over psydge_backend") || !strings.Contains(stdout, "now psydge_celery is exited") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if asked, err := os.ReadFile(filepath.Join(directory, "asked")); err != nil || string(asked) != "log --since 1h30m0s psydge\n" {
		t.Errorf("asks %q, %v", asked, err)
	}
	code, stdout, stderr = log("--json")
	var read document.Log
	if err := json.Unmarshal([]byte(stdout), &read); err != nil || code != exitClean || len(read.Containers) != len(now.Containers) || len(read.Entries) != 1 {
		t.Errorf("exit code %d: %s%s, %v", code, stdout, stderr, err)
	}
	for name, tt := range map[string]struct{ says, want string }{
		"failed":    {"echo 'alorig-server: reading the log: no' >&2; exit 1", "reading the log: no"},
		"something": {"echo something", "has not answered with a log"},
		"newer":     {`echo '{"version":99}'`, "newer than this one (document version 99, not"},
	} {
		program(tt.says)
		if code, stdout, stderr := log("psydge"); code != exitFault || !strings.Contains(stderr, tt.want) || stdout != "" {
			t.Errorf("%s: exit code %d: %s%s", name, code, stdout, stderr)
		}
	}
	for _, args := range [][]string{{"mistake"}, {"--since", "-1h"}, {"psydge", "snapify"}} {
		if code, stdout, stderr := log(args...); code != exitFault || stdout != "" || stderr == "" {
			t.Errorf("%q: exit code %d: %s%s", args, code, stdout, stderr)
		}
	}
}
