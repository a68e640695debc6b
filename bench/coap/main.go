// Command coap compares package coap with libcoap in C, and with go-coap. Each
// client and server is a process of its own. A client of each implementation
// talks to a server in C, and a server of each to a client in C; they take turns,
// round by round, so that what else the machine does hits all. Each figure is the
// median of the rounds.
//
// It prints a table in Markdown: requests a second, the processor time that a
// request takes the process that is compared, and both as ratios to what C needs
// in the same place. A ratio of rates above 1 is faster than C, one of processor
// time below 1 needs less.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// peerEnv is set in the processes of peers.
const peerEnv = "COAP_BENCH_PEER"

func main() {
	log.SetFlags(0)
	var p peer
	rounds := flag.Int("rounds", 7, "rounds of each workload")
	length := flag.Duration("time", 500*time.Millisecond, "length of a round")
	only := flag.String("run", "", "only the workloads that match this regular expression")
	profiles := flag.String("profiles", "", "directory for CPU profiles of each Go process")
	flag.StringVar(&p.role, "peer", "", "be a peer: client or server")
	flag.StringVar(&p.impl, "impl", "", "of a peer: c, ours or go-coap")
	flag.StringVar(&p.proto, "proto", "udp", "of a peer: udp, dtls or tcp")
	flag.IntVar(&p.port, "port", 0, "of a client: the server's port")
	flag.IntVar(&p.inFlight, "in-flight", 1, "of a client")
	flag.StringVar(&p.profile, "profile", "", "of a peer: file for a CPU profile")
	flag.Parse()
	if p.role != "" {
		if err := p.run(os.Stdin, os.Stdout); err != nil {
			log.Fatalf("%s %s: %v", p.impl, p.role, err)
		}
		return
	}
	if err := compare(*only,
		&benchmark{rounds: *rounds, length: *length, sessions: 1000, profiles: *profiles}); err != nil {
		log.Fatal(err)
	}
}

// compare prints the table of the workloads whose name matches.
func compare(only string, b *benchmark) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	remove, err := b.configure()
	if err != nil {
		return err
	}
	defer remove()
	fmt.Println("| workload | compared | rate | CPU a request | rate / C | CPU / C |")
	fmt.Println("| --- | --- | --- | --- | --- | --- |")
	var failures []error
	for _, w := range workloads {
		if !match.MatchString(w.name) {
			continue
		}
		rows, err := b.run(w)
		for _, r := range rows {
			fmt.Println(r)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", w.name, err))
		}
	}
	return errors.Join(failures...)
}

// A workload is one kind of work over one transport.
type workload struct {
	name     string
	proto    string
	kind     string
	inFlight int
	without  string // the entry that cannot do it
}

var workloads = []workload{
	{"GET over UDP, 8 in flight", "udp", "small", 8, ""},
	{"GET over UDP, 16 in flight", "udp", "small", 16, ""},
	{"GET over DTLS, 8 in flight", "dtls", "small", 8, ""},
	{"GET over DTLS, 16 in flight", "dtls", "small", 16, ""},
	{"GET over TCP, 8 in flight", "tcp", "small", 8, ""},
	{"GET over TCP, 16 in flight", "tcp", "small", 16, ""},
	{"GET of 1 MiB over UDP", "udp", "get", 1, ""},
	// go-coap's server knows the blocks of a body by their token, and libcoap's
	// client gives each block another.
	{"PUT of 1 MiB over UDP", "udp", "put", 1, "go-coap server"},
	{"DTLS handshakes, 8 at a time", "dtls", "connect", 8, ""},
	{"memory, 1000 UDP sessions", "udp", "memory", 1, ""},
	{"memory, 1000 DTLS sessions", "dtls", "memory", 8, ""},
}

// An entry is a pair of which one is compared: its other end is in C.
type entry struct {
	role, impl string
	pair       *pair
	results    []result
	failure    error
}

// name of the entry: the pair of two in C stands for both roles.
func (e *entry) name() string { return e.impl + " " + e.role }

func newEntries() []*entry {
	return []*entry{
		{role: "client and server", impl: "c"},
		{role: "client", impl: "ours"},
		{role: "client", impl: "go-coap"},
		{role: "server", impl: "ours"},
		{role: "server", impl: "go-coap"},
	}
}

// start runs the processes of an entry.
func (b *benchmark) start(e *entry, w workload) (err error) {
	impls := map[string]string{"client": "c", "server": "c"}
	profile := make(map[string]string)
	if e.impl != "c" {
		impls[e.role] = e.impl
		if b.profiles != "" {
			file := strings.NewReplacer(" ", "-", ",", "").Replace(w.name + " " + e.name() + ".prof")
			profile[e.role] = filepath.Join(b.profiles, file)
		}
	}
	e.pair, err = b.startPair(impls["client"], impls["server"], w, profile)
	return err
}

func (r result) cpu(role string) float64 {
	if role == "server" {
		return r.serverCPU
	}
	return r.clientCPU
}

// medians returns the entry's rate, and the processor time of a role.
func (e *entry) medians(role string) (rate, cpu float64) {
	var rates, cpus []float64
	for _, r := range e.results {
		rates = append(rates, r.rate)
		cpus = append(cpus, r.cpu(role))
	}
	return median(rates), median(cpus)
}

type benchmark struct {
	rounds   int
	length   time.Duration
	sessions int // in workloads of memory
	profiles string
	priority string // the file of GnuTLS's configuration
}

// configure writes the configuration of the peers' processes.
func (b *benchmark) configure() (remove func(), err error) {
	f, err := os.CreateTemp("", "gnutls-*.conf")
	if err != nil {
		return nil, err
	}
	b.priority = f.Name()
	remove = func() { os.Remove(b.priority) }
	if _, err := f.WriteString(gnutlsPriority); err != nil {
		f.Close()
		remove()
		return nil, err
	}
	return remove, f.Close()
}

// run returns the rows of a workload. Where an entry fails, the others go on.
func (b *benchmark) run(w workload) (rows []string, err error) {
	if w.kind == "memory" {
		return b.memory(w)
	}
	entries := slices.DeleteFunc(newEntries(), func(e *entry) bool { return e.name() == w.without })
	for _, e := range entries {
		if e.failure = b.start(e, w); e.failure == nil { // and warm it up
			_, e.failure = e.pair.round(w.kind, b.length/4)
		}
	}
	for range b.rounds {
		for _, e := range entries {
			if e.failure != nil {
				continue
			}
			var r result
			r, e.failure = e.pair.round(w.kind, b.length)
			e.results = append(e.results, r)
		}
	}
	for _, e := range entries {
		if e.pair != nil {
			e.failure = errors.Join(e.failure, e.pair.stop())
		}
		if e.failure != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", e.name(), e.failure))
		}
	}
	c := entries[0]
	if c.failure != nil {
		return nil, err
	}
	for _, role := range []string{"client", "server"} {
		cRate, cCPU := c.medians(role)
		rows = append(rows, row(w.name, "c "+role, cRate, cCPU, 1, 1))
		for _, e := range entries {
			if e.role == role && e.failure == nil {
				rate, cpu := e.medians(role)
				rows = append(rows, row(w.name, e.name(), rate, cpu, rate/cRate, cpu/cCPU))
			}
		}
	}
	return rows, err
}

func row(workload, who string, rate, cpu, rateRatio, cpuRatio float64) string {
	return fmt.Sprintf("| %s | %s | %.0f /s | %.1f µs | %.2f | %.2f |", workload, who, rate, cpu/1000,
		rateRatio, cpuRatio)
}

// memory returns what a session of a server holds.
func (b *benchmark) memory(w workload) (rows []string, err error) {
	held := make(map[string]float64)
	for _, impl := range []string{"c", "ours", "go-coap"} {
		if held[impl], err = b.sessionMemory(w, impl); err != nil {
			return rows, fmt.Errorf("%s server: %w", impl, err)
		}
		rows = append(rows, fmt.Sprintf("| %s | %s server | %.1f KB a session | | %.2f | |", w.name, impl,
			held[impl]/1000, held[impl]/held["c"]))
	}
	return rows, nil
}

func (b *benchmark) sessionMemory(w workload, impl string) (bytes float64, err error) {
	p, err := b.startPair("c", impl, w, nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	var before, after float64
	var opened string
	if err := p.client.ask("open 8", &opened); err != nil { // what only the first sessions need
		return 0, err
	}
	if err := p.server.ask("resident", &before); err != nil {
		return 0, err
	}
	if err := p.client.ask(fmt.Sprint("open ", b.sessions), &opened); err != nil {
		return 0, err
	}
	if err := p.server.ask("resident", &after); err != nil {
		return 0, err
	}
	return (after - before) / float64(b.sessions), nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
