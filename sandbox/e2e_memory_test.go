package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/alorig/fleet/internal/ledger"
)

// sampleEvery is how often the suite looks at the memory of all containers.
const sampleEvery = 15 * time.Second

// startSampling measures memory until the suite ends.
func (s *suite) startSampling(t *testing.T) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.sampleMemory(t.Context())
	}()
	t.Cleanup(func() { <-ended })
}

// sampleMemory keeps the most that each container has used. It leaves out a sample that
// fails: a container may be going just then. testMemory takes one that must succeed.
func (s *suite) sampleMemory(ctx context.Context) {
	for ctx.Err() == nil {
		_ = s.takeSample(ctx) // see above
		select {
		case <-ctx.Done():
		case <-time.After(sampleEvery):
		}
	}
}

func (s *suite) takeSample(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "docker", "stats", "--no-stream", "--format", "json").Output()
	if err != nil {
		return err
	}
	used, err := parseStats(string(out))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, now := range used {
		s.memory[name] = max(s.memory[name], now)
	}
	return nil
}

// parseStats reads what `docker stats` prints: memory in use in MiB by container, without
// the file cache that the kernel can drop, which is what the ledger means.
func parseStats(out string) (map[string]float64, error) {
	used := map[string]float64{}
	for line := bufio.NewScanner(strings.NewReader(out)); line.Scan(); {
		var row struct{ Name, MemUsage string }
		if err := json.Unmarshal(line.Bytes(), &row); err != nil {
			return nil, fmt.Errorf("%w: %s", err, line.Text())
		}
		now, _, _ := strings.Cut(row.MemUsage, " / ")
		amount, err := mebibytes(now)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", row.Name, err)
		}
		if amount > 0 { // it says 0B of one that is not running any more
			used[row.Name] = amount
		}
	}
	return used, nil
}

var amountPattern = regexp.MustCompile(`^([0-9.]+)(B|KiB|MiB|GiB)$`)

func mebibytes(text string) (float64, error) {
	parts := amountPattern.FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("%q is no amount of memory", text)
	}
	amount, err := strconv.ParseFloat(parts[1], 64)
	return amount * map[string]float64{"B": 1.0 / (1 << 20), "KiB": 1.0 / (1 << 10), "MiB": 1, "GiB": 1 << 10}[parts[2]], err
}

func TestStatsAreRead(t *testing.T) {
	t.Parallel()
	got, err := parseStats(`{"Name":"a","MemUsage":"1.5GiB / 2GiB"}` + "\n" + `{"Name":"b","MemUsage":"512KiB / 2GiB"}` + "\n" + `{"Name":"c","MemUsage":"0B / 0B"}` + "\n")
	if want := map[string]float64{"a": 1536, "b": 0.5}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{`{"Name":"a","MemUsage":"1.5GB / 2GB"}`, `{"Name":"a","MemUsage":"-- / --"}`, `a 1.5GiB`} {
		if got, err := parseStats(bad); err == nil {
			t.Errorf("%s is read as %v", bad, got)
		}
	}
}

// ledgerMemory is what the ledger books for every container that the sandbox runs.
func ledgerMemory() map[string]ledger.Memory {
	table := fleet
	booked := map[string]ledger.Memory{}
	for _, service := range table.Services {
		switch service.Kind {
		case ledger.Portainer: // has no image in the sandbox
		case ledger.Flower: // on demand
		default:
			booked[service.Container] = service.Memory
		}
	}
	for _, app := range table.Apps {
		for _, c := range app.Containers {
			booked[ledger.ContainerName(app.Name, c.Role)] = c.Memory
		}
	}
	return booked
}

// testMemory holds the most that each container has used, over the whole suite, against
// what the ledger reserves for it.
func (s *suite) testMemory(t *testing.T) {
	if err := s.takeSample(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	most := maps.Clone(s.memory)
	s.mu.Unlock()
	booked := ledgerMemory()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "container\tmost used\treserved\tlimit\tof the reservation\t")
	byUse := slices.SortedFunc(maps.Keys(booked), func(a, b string) int {
		return cmp.Or(cmp.Compare(share(most[b], booked[b]), share(most[a], booked[a])), cmp.Compare(a, b))
	})
	var sum float64
	for _, name := range byUse {
		m := booked[name]
		fmt.Fprintf(w, "%s\t%.1f MiB\t%d\t%d\t%.0f %%\t\n", name, most[name], m.Steady, m.Limit, share(most[name], m))
		sum += most[name]
		switch {
		case most[name] == 0:
			t.Errorf("%s was never measured", name)
		case most[name] > float64(m.Steady):
			t.Errorf("%s has used %.1f MiB, its reservation is %d MiB", name, most[name], m.Steady)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(most)) {
		if _, known := booked[name]; !known {
			fmt.Fprintf(w, "%s\t%.1f MiB\t\t\tbeside the ledger\t\n", name, most[name])
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("sum of the maxima %.0f MiB\n%s", sum, table.String())
	for name, c := range inspectStack(t) {
		expectUnharmed(t, name, c)
	}
}

// share is a part of the reservation in percent.
func share(used float64, m ledger.Memory) float64 { return 100 * used / float64(m.Steady) }

// expectUnharmed expects that neither a container nor a process in it was killed for
// memory, and that the engine never had to start it again. Tests that stop a container
// start it themselves, which does not count as a restart.
func expectUnharmed(t *testing.T, name string, c inspected) {
	t.Helper()
	if c.State.Status != "running" {
		t.Errorf("%s is %s", name, c.State.Status)
		return
	}
	if c.State.OOMKilled {
		t.Errorf("%s was killed for memory", name)
	}
	if c.RestartCount != 0 {
		t.Errorf("%s was restarted %d times", name, c.RestartCount)
	}
	killed, err := killedForMemory(name)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if killed != 0 {
		t.Errorf("%d processes in %s were killed for memory", killed, name)
	}
}

// killedForMemory counts, by the container's own control group, of either version.
func killedForMemory(container string) (int, error) {
	out, err := tryDocker("exec", container, "sh", "-c", "cat /sys/fs/cgroup/memory.events 2>/dev/null || cat /sys/fs/cgroup/memory/memory.oom_control")
	if err != nil {
		return 0, err
	}
	for _, line := range lines(out) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strconv.Atoi(n)
		}
	}
	return 0, errors.New("its control group counts no kills")
}
