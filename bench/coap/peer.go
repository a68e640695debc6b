package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gnucoap/gnucoap/bench/coap/cpeer"
)

// A peer is a process that is a client or a server of one implementation. It is
// told what to do on its standard input, a line at a time, and answers each
// line with one of its own.
type peer struct {
	role     string // "client" or "server"
	impl     string
	proto    string
	port     int // of the server
	inFlight int
	profile  string // the file that gets a CPU profile, if not empty
	priority string // the file of GnuTLS's configuration
}

// What both ends know.
const (
	identity = "bench"
	key      = "0123456789abcdef"
)

var (
	small = []byte("22.3 degrees C")
	large = makeLarge()
)

// makeLarge returns a body whose blocks all differ.
func makeLarge() []byte {
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

var bodies = cpeer.Bodies{Small: small, Large: large, Identity: identity, Key: key}

// kinds are what a client does, by name.
var kinds = map[string]cpeer.Kind{
	"small":   cpeer.Small,
	"get":     cpeer.Get,
	"put":     cpeer.Put,
	"connect": cpeer.Connect,
}

var cProtos = map[string]cpeer.Proto{"udp": cpeer.UDP, "dtls": cpeer.DTLS, "tcp": cpeer.TCP}

// A client makes requests.
type client interface {
	// Run makes requests in a new session for a while, see cpeer.Kind.MaxRequests,
	// and returns how many were answered. A wrong answer is an error.
	Run(k cpeer.Kind, d time.Duration) (int, error)
	Close() error
}

// An implementation is one of those that are compared.
type implementation struct {
	// serve answers requests on a port of 127.0.0.1 that it tells.
	serve  func(proto string, ready func(port int)) error
	client func(proto string, port, inFlight int) (client, error)
}

var implementations = map[string]implementation{
	"c": {
		serve: func(proto string, ready func(int)) error {
			return cpeer.Serve(cProtos[proto], bodies, ready)
		},
		client: func(proto string, port, inFlight int) (client, error) {
			return cpeer.NewClient(cProtos[proto], port, inFlight, bodies)
		},
	},
	"ours":    {serveOurs, goClients(dialOurs)},
	"go-coap": {serveGoCoAP, goClients(dialGoCoAP)},
}

// run is the life of a peer's process.
func (p *peer) run(in io.Reader, out io.Writer) error {
	impl, ok := implementations[p.impl]
	if !ok {
		return fmt.Errorf("no implementation %q", p.impl)
	}
	if p.profile != "" {
		f, err := os.Create(p.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var c client
	if p.role == "server" {
		failed, ready := make(chan error, 1), make(chan int, 1)
		go func() { failed <- impl.serve(p.proto, func(port int) { ready <- port }) }()
		select {
		case err := <-failed:
			return err
		case port := <-ready:
			fmt.Fprintln(out, port)
		}
	} else {
		var err error
		if c, err = impl.client(p.proto, p.port, p.inFlight); err != nil {
			return err
		}
		fmt.Fprintln(out, "ready")
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		answer, err := p.do(c, strings.Fields(lines.Text()))
		if err != nil {
			return err
		}
		fmt.Fprintln(out, answer)
	}
	return lines.Err()
}

// do is what one line of input asks for.
func (p *peer) do(c client, words []string) (answer string, err error) {
	switch words[0] {
	case "cpu":
		return strconv.FormatInt(cpuTime().Nanoseconds(), 10), nil
	case "resident":
		return resident()
	case "open":
		n, err := strconv.Atoi(words[1])
		if err != nil {
			return "", err
		}
		return "open", c.(*cpeer.Client).Open(n)
	case "suite":
		return c.(*goClient).session.(ourSession).suite(), nil
	case "run":
		kind, ok := kinds[words[1]]
		d, err := time.ParseDuration(words[2])
		if err != nil || !ok {
			return "", fmt.Errorf("bad command %q", words)
		}
		cpu, start := cpuTime(), time.Now()
		n, err := c.Run(kind, d)
		return fmt.Sprint(n, time.Since(start).Nanoseconds(), (cpuTime() - cpu).Nanoseconds()), err
	default:
		return "", fmt.Errorf("bad command %q", words)
	}
}

// cpuTime returns the processor time that the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident returns how many bytes of memory the process holds.
func resident() (string, error) {
	for range 5 { // each one halves the stacks that are too large
		runtime.GC()
	}
	debug.FreeOSMemory()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return "", err
	}
	var size, pages int
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		return "", err
	}
	return strconv.Itoa(pages * os.Getpagesize()), nil
}
