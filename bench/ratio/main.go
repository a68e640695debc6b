// Command ratio compares package gnutls with crypto/tls and prints a table in
// Markdown. The two take turns, round by round, so that what else the machine
// does hits both. Each figure is the median of the rounds; a ratio above 1 says
// that package gnutls is faster, or needs more of the processor or of memory.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"

	"github.com/gnucoap/gnucoap/bench"
)

const idleConnections = 1000

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", 21, "rounds of each workload")
	only := flag.String("run", "", "only the workloads that match this regular expression")
	idle := flag.Int("idle", -1,
		"print what an idle connection of this implementation holds (0 gnutls, 1 crypto/tls, 2 plain TCP)")
	flag.Parse()
	if *idle >= 0 {
		printIdle(*idle)
		return
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("| | gnutls | crypto/tls | ratio | lowest–highest | ratio of processor time |")
	fmt.Println("| --- | --- | --- | --- | --- | --- |")
	for _, w := range bench.Workloads {
		if match.MatchString(w.Name) {
			if err := compare(w, *rounds); err != nil {
				log.Fatalf("%s: %v", w.Name, err)
			}
		}
	}
	if match.MatchString("idle") {
		if err := compareIdle(); err != nil {
			log.Fatalf("idle: %v", err)
		}
	}
}

// compare prints one row of the table.
func compare(w bench.Workload, rounds int) error {
	stacks, err := w.Stacks()
	if err != nil {
		return err
	}
	var rates [2][]float64
	var ratios, cpuRatios []float64
	for range rounds {
		var clocks [2]bench.Clock
		for i, s := range stacks {
			runtime.GC() // nobody pays for the other's garbage
			if err := w.Run(s, &clocks[i], w.Round); err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
			rates[i] = append(rates[i], float64(w.Round)/clocks[i].Elapsed.Seconds())
		}
		ratios = append(ratios, float64(clocks[1].Elapsed)/float64(clocks[0].Elapsed))
		cpuRatios = append(cpuRatios, float64(clocks[0].CPU)/float64(clocks[1].CPU))
	}
	format := func(rate float64) string {
		if w.Bytes > 0 {
			return fmt.Sprintf("%.0f MB/s", rate*float64(w.Bytes)/1e6)
		}
		return fmt.Sprintf("%.0f /s", rate)
	}
	fmt.Printf("| %s | %s | %s | **%.2f** | %.2f–%.2f | %.2f |\n", w.Name, format(median(rates[0])),
		format(median(rates[1])),
		median(ratios), slices.Min(ratios), slices.Max(ratios), median(cpuRatios))
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// idleStacks are the implementations whose idle connections are compared.
func idleStacks() ([3]*bench.Stack, error) {
	stacks, err := bench.Workloads[0].Stacks()
	return [3]*bench.Stack{stacks[0], stacks[1], bench.Plain()}, err
}

// compareIdle prints the rows of idle connections, each implementation measured
// in a process of its own.
func compareIdle() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var held [3]bench.Footprint
	for i := range held {
		cmd := exec.Command(self, fmt.Sprintf("-idle=%d", i))
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return err
		}
		if _, err := fmt.Sscan(string(out), &held[i].Resident, &held[i].Heap,
			&held[i].Stack); err != nil {
			return err
		}
	}
	row := func(name string, of func(bench.Footprint) float64) {
		ours, theirs := of(held[0]), of(held[1])
		fmt.Printf("| %s | %.1f KB | %.1f KB | %.2f | | |\n", name, ours/1000, theirs/1000, ours/theirs)
	}
	row("idle connection", func(f bench.Footprint) float64 { return f.Resident })
	row("idle connection, beyond plain TCP",
		func(f bench.Footprint) float64 { return f.Resident - held[2].Resident })
	row("idle connection, Go heap", func(f bench.Footprint) float64 { return f.Heap })
	row("idle connection, goroutine stack", func(f bench.Footprint) float64 { return f.Stack })
	return nil
}

func printIdle(implementation int) {
	stacks, err := idleStacks()
	if err != nil {
		log.Fatal(err)
	}
	held, err := stacks[implementation].Idle(idleConnections)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(held.Resident, held.Heap, held.Stack)
}
