// Package testenv holds what the tests of several packages need: the peers
// that they talk to, the test certificates, and the check that no native
// object is left over.
package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// Main runs the tests of a package and fails when a native object outlives
// them. counts returns the live objects, and total their sum.
func Main(m *testing.M, counts func() (description any, total int64)) {
	code := m.Run()
	if left, ok := settle(counts); !ok {
		fmt.Fprintf(os.Stderr, "native objects left after the tests: %+v\n", left)
		code = max(code, 1)
	}
	os.Exit(code)
}

// settle collects garbage until the counts are zero or ten seconds are over.
func settle(counts func() (any, int64)) (left any, ok bool) {
	deadline := time.Now().Add(10 * time.Second)
	for {
		runtime.GC()
		left, total := counts()
		if total == 0 {
			return nil, true
		}
		if time.Now().After(deadline) {
			return left, false
		}
		runtime.Gosched()
	}
}

// Peer returns the path of a program that a test talks to. Where it is not
// installed the test is skipped, or fails if REQUIRE_PEERS is 1.
func Peer(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("REQUIRE_PEERS") == "1" {
		t.Fatalf("%s is not installed and REQUIRE_PEERS is 1", name)
	}
	t.Skipf("%s is not installed (make deps installs it)", name)
	return ""
}

// Root returns the root directory of the module.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// File returns the path of a file in testdata.
func File(name string) string { return filepath.Join(Root(), "testdata", name) }

// Read returns the contents of a file in testdata.
func Read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(File(name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
