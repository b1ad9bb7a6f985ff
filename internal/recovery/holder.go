package recovery

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"github.com/alorig/fleet/internal/terminal"
)

// Verdict is what is known of the holder of a lock.
type Verdict string

// The verdicts.
const (
	Dead       Verdict = "dead"       // the holder has ended; the lock may be deleted
	Alive      Verdict = "alive"      // the holder is updating at this moment
	Unknowable Verdict = "unknowable" // this command cannot see the holder
)

// judge tells whether the holder of a lock lives.
//
// A lock names its machine by the host name and its process by a number. A container that
// uses the host's network has the host's name, and numbers its processes by itself. So the
// number is compared with every number of every process: its own, and the one it has in its
// container. A process that is absent, younger than the lock or another program proves that
// the holder is gone only where this command sees all processes of the machine. Where it
// does not, in a container for one, nobody here can know.
func judge(l Lock) (Verdict, string) {
	here, err := os.Hostname()
	if err != nil || l.Host != here {
		return Unknowable, "it was taken on the machine " + l.Host + ", which this is not"
	}
	return processesHere().judge(l)
}

// processes are those that this command sees.
type processes struct {
	list []candidate
	// unseen says why there may be others on the machine; "" when all are seen.
	unseen string
}

// candidate is a process that may hold a lock.
type candidate struct {
	pid     int32
	numbers []int32 // pid, then what it is called in containers, from the outside in
	name    string  // of the program; a file name where that can be read
	ended   bool    // its parent has not asked for its exit code
	started func() (time.Time, error)
}

// startMargin is by how much a process must be younger than the lock before it is taken
// for another process with the same number: clocks are set while an update runs.
const startMargin = time.Minute

func (ps processes) judge(l Lock) (Verdict, string) {
	why := "no process of this machine has its number any more"
	for _, c := range ps.list {
		if !slices.Contains(c.numbers, l.PID) {
			continue
		}
		if c.ended {
			why = "its process has ended"
			continue
		}
		if !takesLocks(c.name) {
			if c.pid == l.PID { // in a container any program may have a small number
				why = "its number now belongs to " + terminal.Line(c.name)
			}
			continue
		}
		started, err := c.started()
		if err != nil && gone(err) {
			continue
		}
		if err != nil {
			return Unknowable, fmt.Sprintf("it cannot be told when its process began: %v", err)
		}
		if started.After(l.Since.Add(startMargin)) {
			why = fmt.Sprintf("its number now belongs to a %s that began later, at %s", terminal.Line(c.name), started.UTC().Format(time.RFC3339))
			continue
		}
		if c.pid != l.PID {
			return Alive, fmt.Sprintf("%s is running in a container, as process %d of this machine", terminal.Line(c.name), c.pid)
		}
		return Alive, terminal.Line(c.name) + " is running"
	}
	if ps.unseen != "" {
		return Unknowable, ps.unseen
	}
	return Dead, why
}

// takesLocks reports a program that locks a stack. Its name may have something around it: a
// package of NixOS runs .pulumi-wrapped.
func takesLocks(program string) bool {
	return strings.Contains(program, "pulumi") || strings.Contains(program, "alorig")
}

// initialNamespace is the PID namespace from which all processes of a Linux machine are
// seen (PROC_PID_INIT_INO in the kernel's include/linux/proc_ns.h).
const initialNamespace = "pid:[4026531836]"

// processesHere lists the processes that this command sees.
func processesHere() processes {
	if runtime.GOOS != "linux" {
		return processesByNumber()
	}
	ps := processes{}
	if namespace, err := os.Readlink("/proc/self/ns/pid"); err != nil || namespace != initialNamespace {
		ps.unseen = "this command runs in a container and does not see the other processes of the machine"
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		ps.unseen = fmt.Sprintf("the processes of this machine cannot be listed: %v", err)
	}
	first := false
	for _, entry := range entries {
		pid, err := strconv.ParseInt(entry.Name(), 10, 32)
		if err != nil {
			continue
		}
		c, err := readCandidate(int32(pid))
		switch {
		case err == nil:
			ps.list = append(ps.list, c)
			first = first || pid == 1
		case !gone(err):
			ps.unseen = fmt.Sprintf("process %d of this machine cannot be looked at: %v", pid, err)
		}
	}
	if !first && ps.unseen == "" { // /proc is mounted with hidepid
		ps.unseen = "this user does not see the processes of others"
	}
	return ps
}

// gone reports the error of a process that has ended while it was looked at.
func gone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) || errors.Is(err, process.ErrorProcessNotRunning)
}

// readCandidate reads /proc/PID/status, which every user may read.
func readCandidate(pid int32) (candidate, error) {
	c := candidate{pid: pid, started: func() (time.Time, error) { return started(pid) }}
	directory := filepath.Join("/proc", strconv.Itoa(int(pid)))
	file, err := os.Open(filepath.Join(directory, "status"))
	if err != nil {
		return c, err
	}
	defer file.Close() //nolint:errcheck // it is only read
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Name":
			c.name = value
		case "State":
			c.ended = strings.HasPrefix(value, "Z") || strings.HasPrefix(value, "X")
		case "NSpid":
			for _, number := range strings.Fields(value) {
				n, err := strconv.ParseInt(number, 10, 32)
				if err != nil {
					return c, err
				}
				c.numbers = append(c.numbers, int32(n))
			}
		}
	}
	if err := lines.Err(); err != nil {
		return c, err
	}
	if len(c.numbers) == 0 {
		return c, errors.New("the kernel does not tell its numbers (NSpid)")
	}
	// The name in status is that of a thread and is cut. Another user's file is not shown.
	if path, err := os.Readlink(filepath.Join(directory, "exe")); err == nil && takesLocks(filepath.Base(path)) {
		c.name = filepath.Base(path)
	}
	return c, nil
}

func started(pid int32) (time.Time, error) {
	p, err := process.NewProcess(pid)
	if err != nil {
		return time.Time{}, err
	}
	milliseconds, err := p.CreateTime()
	return time.UnixMilli(milliseconds), err
}

// processesByNumber lists the processes of a system without PID namespaces.
func processesByNumber() processes {
	all, err := process.Processes()
	if err != nil {
		return processes{unseen: fmt.Sprintf("the processes of this machine cannot be listed: %v", err)}
	}
	ps := processes{}
	for _, p := range all {
		c := candidate{pid: p.Pid, numbers: []int32{p.Pid}, started: func() (time.Time, error) { return started(p.Pid) }}
		if c.name, err = p.Name(); err != nil {
			continue // it has ended meanwhile
		}
		if states, err := p.Status(); err == nil {
			c.ended = slices.Contains(states, process.Zombie)
		}
		ps.list = append(ps.list, c)
	}
	return ps
}
