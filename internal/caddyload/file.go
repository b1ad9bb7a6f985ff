package caddyload

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// file is one that Caddy reads. While it is changed, hidden files stand beside it, which Caddy
// does not read. They are those of the shell scripts that did this before, so that either
// finishes what the other has left.
type file struct{ directory, name string }

// The endings of the hidden files.
const (
	mark       = "old"  // the file as it is served
	partOfMark = "copy" // the mark while it is written
	next       = "new"  // the new file while it is written
)

// wasEmpty is the mark of an empty file. An empty mark says that there was no file.
const wasEmpty = "# This file was empty.\n"

func (f file) path() string { return filepath.Join(f.directory, f.name) }

func (f file) beside(ending string) string {
	return filepath.Join(f.directory, "."+f.name+"."+ending)
}

// owner is the name of the file that a hidden one belongs to; "" for any other.
func owner(hidden string) string {
	name, dotted := strings.CutPrefix(hidden, ".")
	for _, ending := range []string{mark, partOfMark, next} {
		if name, ok := strings.CutSuffix(name, "."+ending); ok && dotted {
			return name
		}
	}
	return ""
}

// read is the text; nil when there is no file.
func (f file) read() ([]byte, error) {
	text, err := os.ReadFile(f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is served: %w", err)
	}
	if text == nil {
		text = []byte{}
	}
	return text, nil
}

// keep makes the mark. It is on the disk before the file is touched.
func (f file) keep(before []byte) error {
	if before != nil && len(before) == 0 {
		before = []byte(wasEmpty)
	}
	if err := f.write(partOfMark, before); err != nil {
		return err
	}
	if err := do(func() error { return os.Rename(f.beside(partOfMark), f.beside(mark)) }); err != nil {
		return err
	}
	return f.sync()
}

// put lets the file hold the text, or removes it without one.
func (f file) put(text []byte) error {
	if text == nil {
		return f.remove()
	}
	if err := f.write(next, text); err != nil {
		return err
	}
	if err := do(func() error { return os.Rename(f.beside(next), f.path()) }); err != nil {
		return err
	}
	return f.sync()
}

// undo puts back what was kept, if there is something, and reports it. It renames, which
// needs no space on a full disk.
func (f file) undo() (bool, error) {
	kept, err := os.ReadFile(f.beside(mark))
	undone := !errors.Is(err, fs.ErrNotExist)
	if undone && err != nil {
		return false, err
	}
	switch {
	case !undone:
	case len(kept) == 0:
		err = f.remove()
	case string(kept) == wasEmpty:
		err = f.put([]byte{})
	default:
		if err = do(func() error { return os.Rename(f.beside(mark), f.path()) }); err == nil {
			err = f.sync()
		}
	}
	if undone && err != nil {
		return true, err
	}
	// The mark goes last: until then the next process undoes again.
	for _, ending := range []string{partOfMark, next, mark} {
		if err := do(func() error { return removed(f.beside(ending)) }); err != nil {
			return undone, err
		}
	}
	return undone, f.sync()
}

// forget removes the mark, which ends the transaction. It is off the disk afterwards: after a
// power failure it would undo a change that is done.
func (f file) forget() error {
	if err := do(func() error { return removed(f.beside(mark)) }); err != nil {
		return err
	}
	return f.sync()
}

func (f file) remove() error {
	if err := do(func() error { return removed(f.path()) }); err != nil {
		return err
	}
	return f.sync()
}

func removed(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// write writes a hidden file whole, to the disk. Caddy's user must be able to read what it
// becomes, whatever this process's umask is.
func (f file) write(ending string, text []byte) error {
	return do(func() (err error) {
		w, err := os.OpenFile(f.beside(ending), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.Close()) }()
		step()
		if err := do(func() error { _, err := w.Write(text); return err }); err != nil {
			return err
		}
		return errors.Join(w.Chmod(0o644), w.Sync())
	})
}

// sync puts the names in the directory on the disk.
func (f file) sync() error {
	return do(func() (err error) {
		directory, err := os.Open(f.directory)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, directory.Close()) }()
		return directory.Sync()
	})
}

// step is called after each step; a test dies in it.
var step = func() {}

func do(what func() error) error {
	err := what()
	step()
	return err
}
