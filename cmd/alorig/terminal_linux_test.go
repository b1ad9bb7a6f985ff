package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal that answers no question is asked none when the program is loaded: this test
// binary links what alorig links, and prints nothing before it ends.
func TestASilentTerminalIsAskedNothing(t *testing.T) {
	t.Parallel()
	keyboard, screen := openTerminal(t)
	child := exec.Command(os.Args[0], "-test.run", "^$")
	child.Stdin, child.Stdout, child.Stderr = screen, screen, screen
	child.Env = append(os.Environ(), "TERM=xterm-256color")
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	began := time.Now()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	screen.Close()
	said, _ := io.ReadAll(keyboard) // ends with an error when nobody holds the terminal
	if err := child.Wait(); err != nil {
		t.Fatalf("%v: %q", err, said)
	}
	if bytes.ContainsRune(said, '\x1b') {
		t.Errorf("the terminal is asked: %q", said)
	}
	t.Logf("%q after %s", said, time.Since(began))
}

// openTerminal returns both ends of a new pseudo-terminal.
func openTerminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	fd := int(keyboard.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return keyboard, screen
}
