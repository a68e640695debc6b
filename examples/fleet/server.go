package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gnucoap/gnucoap/gnutls"
)

// asServer in the environment makes the program one of the servers. It is the
// server's number.
const asServer = "FLEET_SERVER"

const (
	listening = "listening on "
	reloaded  = "ticket keys reloaded" // as gnutls logs it
)

var errEnded = errors.New("the process has ended")

// serve answers each connection with the number of the server, until standard
// input ends: so no server outlives the program.
func serve(number, certFile, keyFile, ticketKeys string) error {
	cert, err := gnutls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	keys, err := gnutls.OpenTicketKeyFile(ticketKeys)
	if err != nil {
		return err
	}
	ln, err := gnutls.Listen("tcp", "127.0.0.1:0", &gnutls.Config{
		Certificates:  []gnutls.Certificate{cert},
		TicketKeyFile: keys,
		Logger:        slog.New(slog.NewTextHandler(os.Stdout, nil)),
	})
	if err != nil {
		return err
	}
	fmt.Printf("%s%s\n", listening, ln.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		ln.Close()
	}()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return nil
		}
		go answer(conn, number)
	}
}

func answer(conn net.Conn, number string) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, number)
}

// A server is a process, seen from the program that has started it.
type server struct {
	number  int
	addr    string
	cmd     *exec.Cmd
	stdin   io.Closer
	reloads chan struct{}
	ended   chan struct{}
	killed  atomic.Bool
}

func startServers(ctx context.Context, certFile, keyFile, ticketKeys string) ([]*server, error) {
	var servers []*server
	for number := 1; number <= 3; number++ {
		s, err := startServer(ctx, number, certFile, keyFile, ticketKeys)
		if err != nil {
			return servers, fmt.Errorf("server %d: %w", number, err)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

func startServer(
	ctx context.Context, number int, certFile, keyFile, ticketKeys string,
) (*server, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-cert", certFile, "-key", keyFile, ticketKeys)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", asServer, number))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{number: number, cmd: cmd, stdin: stdin, reloads: make(chan struct{}, 100),
		ended: make(chan struct{})}
	addr := make(chan string, 1)
	go s.follow(stdout, addr)
	select {
	case s.addr = <-addr:
		return s, nil
	case <-s.ended:
		err = errEnded
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.kill()
	return nil, err
}

// follow reads what the server says, to its end.
func (s *server) follow(stdout io.Reader, addr chan<- string) {
	defer close(s.ended)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if a, ok := strings.CutPrefix(lines.Text(), listening); ok {
			addr <- a
		}
		if strings.Contains(lines.Text(), reloaded) {
			s.reloads <- struct{}{}
		}
	}
	s.cmd.Wait()
}

// awaitReload waits until the server has read the changed file. One that was
// killed never will.
func (s *server) awaitReload(ctx context.Context) error {
	if s.killed.Load() {
		return nil
	}
	select {
	case <-s.reloads:
		return nil
	case <-s.ended:
		return fmt.Errorf("server %d: %w", s.number, errEnded)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hasEnded is what the balancer's health check says. It counts a server as ended before it is
// killed: while the system takes a process down, its port still accepts connections, and both
// tries of a client could meet it.
func (s *server) hasEnded() bool {
	if s.killed.Load() {
		return true
	}
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// kill ends the server like a crash.
func (s *server) kill() {
	s.killed.Store(true)
	s.cmd.Process.Kill()
	<-s.ended
}

// stopServers lets the servers end by themselves, or kills them.
func stopServers(servers []*server) {
	for _, s := range servers {
		s.stdin.Close()
	}
	for _, s := range servers {
		select {
		case <-s.ended:
		case <-time.After(patience):
			s.kill()
		}
	}
}
