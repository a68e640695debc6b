package testenv

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// peerWait bounds what a test waits for from a peer; nothing takes this long.
const peerWait = 30 * time.Second

// A Process is a peer that runs as a process of its own. It ends with the test
// that started it.
type Process struct {
	name  string
	cmd   *exec.Cmd
	stdin *os.File
	ended chan struct{} // closed when it has ended and all its output is here

	mu     sync.Mutex // guards what follows
	output []byte
	seen   int           // how much of output Expect has found
	news   chan struct{} // closed at the next output
}

// Start runs a program that Peer finds.
func Start(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	p := &Process{
		name:  name,
		cmd:   exec.Command(Peer(t, name), args...),
		ended: make(chan struct{}),
		news:  make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), "LC_ALL=C")
	out := output{p}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	stdin, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdin, p.stdin = stdin, w
	err = p.cmd.Start()
	stdin.Close()
	if err != nil {
		w.Close()
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s printed:\n%s", p.cmd, p.tail())
		}
	})
	return p
}

// StartServer runs a program that Peer finds and that listens on loopback. In
// args and in ready, "{port}" is replaced with the port. It returns the address, when
// the program has printed ready.
func StartServer(t testing.TB, ready, name string, args ...string) (p *Process, addr string) {
	t.Helper()
	const inUse = "Address already in use"
	for attempt := 1; ; attempt++ {
		addr := freeAddr(t)
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		withPort := make([]string, len(args))
		for i, arg := range args {
			withPort[i] = strings.ReplaceAll(arg, "{port}", port)
		}
		p := Start(t, name, withPort...)
		found, _, err := p.await(strings.ReplaceAll(ready, "{port}", port), inUse)
		if err == nil && found == inUse {
			// Somebody else was faster to take the port.
			p.kill()
			err = fmt.Errorf("port %s is taken", port)
			if attempt < 5 {
				continue
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return p, addr
	}
}

// freeAddr returns an address on loopback whose port is free now.
func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// Send writes text to the standard input of the process.
func (p *Process) Send(t testing.TB, text string) {
	t.Helper()
	p.stdin.SetWriteDeadline(time.Now().Add(peerWait))
	if _, err := p.stdin.WriteString(text); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// CloseInput ends the standard input of the process.
func (p *Process) CloseInput() { p.stdin.Close() }

// Expect waits until the process prints text, to its standard output or error,
// after all that earlier calls have found. It returns what was printed in
// between, with text at its end.
func (p *Process) Expect(t testing.TB, text string) string {
	t.Helper()
	_, upTo, err := p.await(text)
	if err != nil {
		t.Fatal(err)
	}
	return upTo
}

// ExpectAny is Expect for the first of several texts. It returns the one that it finds.
func (p *Process) ExpectAny(t testing.TB, texts ...string) string {
	t.Helper()
	found, _, err := p.await(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// await waits for the first of several texts.
func (p *Process) await(texts ...string) (found, upTo string, err error) {
	timeout := time.After(peerWait)
	for ended := false; ; {
		found, upTo, news := p.find(texts)
		switch {
		case found != "":
			return found, upTo, nil
		case ended:
			return "", "", fmt.Errorf("%s ended (%v) and did not print %q", p.name, p.cmd.ProcessState,
				texts)
		}
		select {
		case <-news:
		case <-p.ended:
			ended = true
		case <-timeout:
			return "", "", fmt.Errorf("%s did not print %q", p.name, texts)
		}
	}
}

// find looks for texts in the output that is new. Where it finds none it
// returns a channel that is closed when there is more.
func (p *Process) find(texts []string) (found, upTo string, news <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := p.output[p.seen:]
	for _, text := range texts {
		if i := bytes.Index(rest, []byte(text)); i >= 0 {
			end := i + len(text)
			p.seen += end
			return text, string(rest[:end]), nil
		}
	}
	return "", "", p.news
}

// Wait waits until the process has ended, and returns its exit code, -1 for a
// signal.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(peerWait):
		t.Fatalf("%s did not end", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

// kill ends the process, if it has not ended by itself.
func (p *Process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
	p.stdin.Close()
}

// Output returns all that the process has printed.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.output)
}

// tail is Output, cut to what a person reads.
func (p *Process) tail() string {
	const limit = 16 << 10
	out := p.Output()
	if len(out) <= limit {
		return out
	}
	return "(" + strconv.Itoa(len(out)-limit) + " bytes left out)\n" + out[len(out)-limit:]
}

// output collects what a process prints.
type output struct{ p *Process }

func (o output) Write(b []byte) (int, error) {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	o.p.output = append(o.p.output, b...)
	close(o.p.news)
	o.p.news = make(chan struct{})
	return len(b), nil
}
