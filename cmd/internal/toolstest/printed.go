package toolstest

import (
	"bytes"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A Printed collects what a program prints. It may be used from any goroutine.
type Printed struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
	more chan struct{} // closed at the next write
}

// NewPrinted returns one that is empty.
func NewPrinted() *Printed { return &Printed{more: make(chan struct{})} }

// Write implements io.Writer.
func (p *Printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.more)
	p.more = make(chan struct{})
	return p.text.Write(b)
}

// String returns all that was printed.
func (p *Printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// Await waits for a match of pattern and returns it with its groups.
func (p *Printed) Await(t testing.TB, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(Wait)
	for {
		p.mu.Lock()
		found, more := re.FindStringSubmatch(p.text.String()), p.more
		p.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-more:
		case <-timeout:
			require.Failf(t, "output did not come", "no %q in:\n%s", pattern, p)
		}
	}
}
