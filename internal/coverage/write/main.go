// Command write writes the lists of symbols of the include directories that are its arguments, and
// the tables in docs/coverage from all lists. It is run in the root of the module (make coverage).
package main

import (
	"fmt"
	"os"

	"github.com/gnucoap/gnucoap/internal/coverage"
)

func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "write:", err)
		os.Exit(1)
	}
}

func write(dirs []string) error {
	for _, dir := range dirs {
		lists, err := coverage.ReadHeaders(os.DirFS(dir))
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		for _, l := range lists {
			if err := coverage.WriteList("internal/coverage/symbols", l); err != nil {
				return err
			}
			fmt.Printf("%s: %s %s, %d symbols\n", dir, l.Library, l.Version, len(l.Symbols))
		}
	}
	d, err := coverage.ReadData(os.DirFS("internal/coverage"))
	if err != nil {
		return err
	}
	for _, t := range d.Tables {
		if err := os.WriteFile(t.Document(), d.Markdown(t), 0o644); err != nil {
			return err
		}
	}
	return nil
}
