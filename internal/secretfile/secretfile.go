// Package secretfile reads and writes files that contain secrets: only their
// owner may have access to them, and they are replaced as a whole.
//
// All errors name the file.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Open opens a file for reading. It refuses, with an error that matches
// fs.ErrPermission, a file that is not a regular file, that others than the owner have any
// access to, or that belongs to a user other than this one or root. A symbolic link
// is not a regular file: Replace would replace the link.
func Open(path string) (*os.File, error) {
	// Without O_NONBLOCK the opening of a pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return nil, refused(path, "it is a symbolic link")
	case errors.Is(err, syscall.ENXIO): // what a socket gives
		return nil, refused(path, "it is not a regular file")
	case err != nil:
		return nil, err
	}
	if err := check(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func check(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return refused(f.Name(), "it is not a regular file (%v)", info.Mode())
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 && int(uid) != os.Geteuid() {
		return refused(f.Name(), "it belongs to user %d", uid)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return refused(f.Name(), "its mode is %#o, others have access; 0600 is needed", mode)
	}
	return nil
}

func refused(path, reason string, args ...any) error {
	return &fs.PathError{Op: "open", Path: path,
		Err: fmt.Errorf("%w: "+reason, append([]any{fs.ErrPermission}, args...)...)}
}

// A Pending is a file that is about to be replaced or made.
type Pending struct {
	path string
	tmp  *os.File
}

// Create finds out whether a file can be written, without changing it. Call Replace
// or Discard afterwards.
func Create(path string) (*Pending, error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return nil, err
	}
	return &Pending{path, tmp}, nil
}

// Replace replaces the file by one with the data and mode 0600, atomically and so
// that it survives a loss of power.
func (p *Pending) Replace(data []byte) error { return p.commit(data, os.Rename) }

// commit writes the data and has place move the temporary file to its path.
func (p *Pending) commit(data []byte, place func(from, to string) error) error {
	defer p.Discard()
	if _, err := p.tmp.Write(data); err != nil {
		return err
	}
	if err := p.tmp.Sync(); err != nil {
		return err
	}
	if err := p.tmp.Close(); err != nil {
		return err
	}
	if err := place(p.tmp.Name(), p.path); err != nil {
		return err
	}
	syncDir(filepath.Dir(p.path))
	return nil
}

// Discard removes the temporary file if Replace was not called.
func (p *Pending) Discard() {
	p.tmp.Close()
	os.Remove(p.tmp.Name())
}

// syncDir makes a change in a directory durable, best effort: the change itself has
// been made, and not all file systems can do this.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}

// Update replaces a file by what change makes of it. No other Update of the file runs
// at the same time, in this or another process: Update waits up to wait, and then
// fails with an error that matches os.ErrDeadlineExceeded. It refuses what Open
// refuses. A missing file is first made with the contents initial, or is an error if
// initial is nil.
//
// The lock is on the file itself (flock), so only those who may read the file can
// take it. Open does not wait for it.
func Update(path string, wait time.Duration, initial []byte,
	change func(old io.Reader) ([]byte, error)) error {
	f, err := openLocked(path, time.Now().Add(wait), initial)
	if err != nil {
		return err
	}
	defer f.Close() // which gives the lock back
	data, err := change(f)
	if err != nil {
		return err
	}
	p, err := Create(path)
	if err != nil {
		return err
	}
	return p.Replace(data)
}

// openLocked opens a file and locks it.
func openLocked(path string, deadline time.Time, initial []byte) (*os.File, error) {
	for {
		f, err := Open(path)
		if errors.Is(err, fs.ErrNotExist) && initial != nil {
			if err = create(path, initial); err == nil {
				f, err = Open(path)
			}
		}
		if err != nil {
			return nil, err
		}
		locked, err := lock(f)
		if locked && err == nil {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, &fs.PathError{Op: "lock", Path: path,
				Err: fmt.Errorf("another process keeps it locked: %w", os.ErrDeadlineExceeded)}
		}
		time.Sleep(pause)
	}
}

// pause is the time between two tries to lock a file.
const pause = 2 * time.Millisecond

// lock locks a file, unless somebody else has locked it, or has replaced it
// since it was opened.
func lock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == syscall.EWOULDBLOCK || err == syscall.EINTR {
		return false, nil
	}
	if err != nil {
		return false, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, there), err
}

// create makes a file, unless there is one.
func create(path string, data []byte) error {
	p, err := Create(path)
	if err != nil {
		return err
	}
	if err := p.commit(data, os.Link); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
