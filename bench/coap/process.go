package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// A process is a peer that runs, as its parent sees it.
type process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	kill context.CancelFunc
}

// start runs a peer and returns the first line that it prints.
func start(p peer) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	ctx, kill := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, self, "-peer", p.role, "-impl", p.impl, "-proto", p.proto,
		"-port", strconv.Itoa(p.port), "-in-flight", strconv.Itoa(p.inFlight), "-profile", p.profile)
	cmd.Env = append(os.Environ(), peerEnv+"=1", "GNUTLS_SYSTEM_PRIORITY_FILE="+p.priority)
	cmd.Stderr = os.Stderr
	proc := &process{name: p.impl + " " + p.role, cmd: cmd, kill: kill}
	if proc.in, err = cmd.StdinPipe(); err != nil {
		return nil, "", err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	proc.out = bufio.NewScanner(out)
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	first, err := proc.line()
	if err != nil {
		return nil, "", errors.Join(err, proc.stop())
	}
	return proc, first, nil
}

// line returns what the peer prints next.
func (p *process) line() (string, error) {
	late := time.AfterFunc(2*time.Minute, p.kill)
	defer late.Stop()
	if !p.out.Scan() {
		return "", fmt.Errorf("%s: it has ended", p.name)
	}
	return p.out.Text(), nil
}

// ask has the peer do what a line says, and reads the numbers that it answers.
func (p *process) ask(line string, numbers ...any) error {
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	answer, err := p.line()
	if err != nil {
		return err
	}
	if _, err := fmt.Sscan(answer, numbers...); err != nil {
		return fmt.Errorf("%s: bad answer %q", p.name, answer)
	}
	return nil
}

// stop ends the peer.
func (p *process) stop() error {
	p.in.Close()
	late := time.AfterFunc(5*time.Second, p.kill)
	defer late.Stop()
	defer p.kill()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// gnutlsPriority is GnuTLS's configuration in the processes of peers: all have the
// only cipher suite that pion and the defaults of libcoap share without an
// exchange of keys, TLS_PSK_WITH_AES_128_GCM_SHA256.
const gnutlsPriority = `[overrides]
tls-disabled-kx = ecdhe-psk
tls-disabled-kx = dhe-psk
tls-disabled-cipher = aes-256-gcm
tls-disabled-cipher = chacha20-poly1305
tls-disabled-cipher = aes-256-ccm
tls-disabled-cipher = aes-256-cbc
`

// A pair is a client and the server that it talks to.
type pair struct{ client, server *process }

// startPair runs both. profile says which of them writes a CPU profile, to which
// file.
func (b *benchmark) startPair(clientImpl, serverImpl string, w workload,
	profile map[string]string) (*pair, error) {
	server, port,
		err := start(peer{role: "server", impl: serverImpl, proto: w.proto, profile: profile["server"],
		priority: b.priority})
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, errors.Join(err, server.stop())
	}
	client, _,
		err := start(peer{role: "client", impl: clientImpl, proto: w.proto, port: n, inFlight: w.inFlight,
		profile: profile["client"], priority: b.priority})
	if err != nil {
		return nil, errors.Join(err, server.stop())
	}
	return &pair{client, server}, nil
}

func (p *pair) stop() error { return errors.Join(p.client.stop(), p.server.stop()) }

// A result is what a round has given.
type result struct {
	rate                 float64 // requests a second
	clientCPU, serverCPU float64 // ns a request
}

// round makes requests for a while.
func (p *pair) round(kind string, d time.Duration) (result, error) {
	var before, after, n, elapsed, cpu float64
	if err := p.server.ask("cpu", &before); err != nil {
		return result{}, err
	}
	if err := p.client.ask(strings.Join([]string{"run", kind, d.String()}, " "), &n, &elapsed,
		&cpu); err != nil {
		return result{}, err
	}
	if err := p.server.ask("cpu", &after); err != nil {
		return result{}, err
	}
	if n == 0 {
		return result{}, fmt.Errorf("%s: no request was answered", p.client.name)
	}
	return result{n / elapsed * 1e9, cpu / n, (after - before) / n}, nil
}
