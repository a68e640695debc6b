package gnutls

import (
	"log/slog"
	"testing"
)

// BenchmarkTicketKeyFile is what a file of four keys, with four previous ones,
// costs a connection that starts: most of them, and the one in a second that
// reads the file.
func BenchmarkTicketKeyFile(b *testing.B) {
	k := newKeyFile(b, 1)
	for key := byte(2); key < 6; key++ {
		k.write(b, key)
		k.connection()
	}
	k.write(b, 6, 7, 8, 9)
	if n := len(k.connection()); n != maxFileKeys+maxRetiredKeys {
		b.Fatal(n, "keys")
	}
	log := func(slog.Level, string, ...any) {}
	b.Run("usual", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k.current(log)
		}
	})
	b.Run("reading", func(b *testing.B) {
		for b.Loop() {
			k.pass(ticketKeyInterval)
			k.current(log)
		}
	})
}
