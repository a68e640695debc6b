package secretfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// long is more than any wait for a lock in a test that succeeds.
const long = 20 * time.Second

func write(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// assertHolds checks the contents and the mode of a file, and that it is alone.
func assertHolds(t testing.TB, path, text string) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, text, string(data))
	info, err := os.Lstat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing else is left")
}

func appendText(text string) func(io.Reader) ([]byte, error) {
	return func(old io.Reader) ([]byte, error) {
		b, err := io.ReadAll(old)
		return append(b, text...), err
	}
}

// Only root can give a file to another user; for anybody else that case is not
// there.
func TestRefusedFiles(t *testing.T) {
	chmod := func(mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			write(t, path, "secret")
			require.NoError(t, os.Chmod(path, mode))
		}
	}
	tests := map[string]struct {
		make   func(*testing.T, string)
		reason string
	}{
		"the group may read":    {chmod(0o640), "its mode is 0640"},
		"others may read":       {chmod(0o604), "its mode is 0604"},
		"others may write":      {chmod(0o602), "its mode is 0602"},
		"the group may execute": {chmod(0o710), "its mode is 0710"},
		"a directory": {func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path, 0o700))
		}, "not a regular file (drwx"},
		"a pipe": {func(t *testing.T, path string) {
			require.NoError(t, syscall.Mkfifo(path, 0o600))
		}, "not a regular file (prw"},
		"a socket": {func(t *testing.T, path string) {
			ln, err := net.Listen("unix", path)
			require.NoError(t, err)
			t.Cleanup(func() { ln.Close() })
		}, "not a regular file"},
		"a symbolic link": {func(t *testing.T, path string) {
			target := filepath.Join(t.TempDir(), "target")
			write(t, target, "secret")
			require.NoError(t, os.Symlink(target, path))
		}, "symbolic link"},
		"a symbolic link to nothing": {func(t *testing.T, path string) {
			require.NoError(t, os.Symlink("nothing", path))
		}, "symbolic link"},
	}
	if os.Geteuid() == 0 {
		for _, uid := range []int{1, 65534} {
			tests[fmt.Sprint("user ", uid, " owns it")] = struct {
				make   func(*testing.T, string)
				reason string
			}{func(t *testing.T, path string) {
				write(t, path, "secret")
				require.NoError(t, os.Chown(path, uid, 0))
			}, "belongs to user " + strconv.Itoa(uid)}
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			test.make(t, path)
			before, err := os.Lstat(path)
			require.NoError(t, err)
			_, openErr := Open(path)
			updateErr := Update(path, long, []byte("new"), func(io.Reader) ([]byte, error) {
				t.Error("the file was let through")
				return nil, nil
			})
			for _, err := range []error{openErr, updateErr} {
				require.ErrorIs(t, err, fs.ErrPermission)
				assert.ErrorContains(t, err, path)
				assert.ErrorContains(t, err, test.reason)
				assert.NotContains(t, err.Error(), "\n")
			}
			after, err := os.Lstat(path)
			require.NoError(t, err)
			assert.True(t, os.SameFile(before, after), "it stays as it was")
		})
	}
}

func TestFilesOfTheOwnerAloneAreOpened(t *testing.T) {
	for _, mode := range []os.FileMode{0o600, 0o400, 0o700} {
		path := filepath.Join(t.TempDir(), "file")
		write(t, path, "secret")
		require.NoError(t, os.Chmod(path, mode))
		f, err := Open(path)
		require.NoError(t, err, mode)
		data, err := io.ReadAll(f)
		assert.NoError(t, err)
		assert.Equal(t, "secret", string(data))
		assert.NoError(t, f.Close())
	}
}

func TestMissingFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	_, err := Open(path)
	assert.ErrorIs(t, err, fs.ErrNotExist)
	err = Update(path, long, nil, appendText("x"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, path)
	assert.NoFileExists(t, path)
	require.NoError(t, Update(path, long, []byte("new"), appendText(" and more")))
	assertHolds(t, path, "new and more")

	elsewhere := filepath.Join(path+".d", "file")
	err = Update(elsewhere, long, []byte("new"), appendText("x"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Create(elsewhere)
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

// Of two that find no file only one makes it.
func TestAFileIsNotMadeOverAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, create(path, []byte("first")))
	require.NoError(t, create(path, []byte("second")))
	assertHolds(t, path, "first")
}

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"one", "a longer one", ""} {
		p, err := Create(path)
		require.NoError(t, err)
		require.NoError(t, p.Replace([]byte(text)))
		p.Discard()
		assertHolds(t, path, text)
		require.NoError(t, os.Chmod(path, 0o644), "the new file has mode 0600 whatever the old one had")
	}
}

func TestReplaceMakesANewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "old")
	reader, err := os.Open(path)
	require.NoError(t, err)
	defer reader.Close()
	p, err := Create(path)
	require.NoError(t, err)
	require.NoError(t, p.Replace([]byte("new")))
	data, err := io.ReadAll(reader)
	require.NoError(t, err)
	assert.Equal(t, "old", string(data), "a reader sees all of the old file or all of the new one")
}

func TestDiscardAndFailureLeaveTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "old")
	p, err := Create(path)
	require.NoError(t, err)
	p.Discard()
	assertHolds(t, path, "old")
	assert.ErrorIs(t, p.Replace([]byte("new")), fs.ErrClosed)
	assertHolds(t, path, "old")

	broken := errors.New("broken")
	err = Update(path, long, nil, func(io.Reader) ([]byte, error) { return []byte("new"), broken })
	assert.ErrorIs(t, err, broken)
	assertHolds(t, path, "old")

	dir := filepath.Join(t.TempDir(), "dir")
	require.NoError(t, os.Mkdir(dir, 0o700))
	p, err = Create(dir)
	require.NoError(t, err)
	assert.ErrorContains(t, p.Replace([]byte("new")), dir)
	entries, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

// Updates of a file that is there, or that each of them may make.
func TestUpdatesDoNotLoseEachOther(t *testing.T) {
	const goroutines, updates = 8, 25
	for name, initial := range map[string][]byte{"file exists": nil, "file is missing": []byte("|")} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if initial == nil {
				write(t, path, "|")
			}
			var wg sync.WaitGroup
			for i := range goroutines {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for range updates {
						assert.NoError(t, Update(path, long, initial, appendText(strconv.Itoa(i))))
					}
				}()
			}
			wg.Wait()
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Len(t, data, 1+goroutines*updates)
			for i := range goroutines {
				assert.Equal(t, updates, bytes.Count(data, []byte(strconv.Itoa(i))))
			}
			assertHolds(t, path, string(data))
		})
	}
}

func TestUpdateDoesNotWaitForeverForALock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "old")
	holder, err := os.Open(path)
	require.NoError(t, err)
	defer holder.Close()
	require.NoError(t, syscall.Flock(int(holder.Fd()), syscall.LOCK_SH))
	err = Update(path, 50*time.Millisecond, nil, appendText("x"))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.ErrorContains(t, err, path)
	assert.ErrorContains(t, err, "another process keeps it locked")
	assertHolds(t, path, "old")

	done := make(chan error, 1)
	go func() { done <- Update(path, long, nil, appendText(" and new")) }()
	require.NoError(t, holder.Close())
	assert.NoError(t, <-done)
	assertHolds(t, path, "old and new")
}

// A lock of a file that was replaced or removed meanwhile is worth nothing.
func TestLocksOfOldFilesAreGivenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "old")
	f, err := Open(path)
	require.NoError(t, err)
	defer f.Close()
	locked, err := lock(f)
	require.NoError(t, err)
	assert.True(t, locked)

	require.NoError(t, os.Remove(path))
	locked, err = lock(f)
	require.NoError(t, err)
	assert.False(t, locked)

	write(t, path, "new")
	locked, err = lock(f)
	require.NoError(t, err)
	assert.False(t, locked)
	require.NoError(t, Update(path, long, nil, appendText("er")), "it is another file")
	assertHolds(t, path, "newer")
}
