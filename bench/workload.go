package bench

// A Workload is a kind of work to compare the implementations by.
type Workload struct {
	Name    string
	Group   Group
	Tickets Tickets
	// Bytes is the amount of data in one operation, 0 where operations count.
	Bytes int
	// Round is the number of operations that take about a quarter of a second.
	Round int
	// Run does n operations.
	Run func(s *Stack, t Timer, n int) error
}

const mebibyte = 1 << 20

// Workloads are all of them.
var Workloads = []Workload{
	{"bulk", X25519, NoTickets, mebibyte, 300, func(s *Stack, t Timer, n int) error {
		return s.Bulk(t, n*mebibyte/ChunkSize)
	}},
	{"ping-pong", X25519, NoTickets, 0, 8000, (*Stack).PingPong},
	{"full handshake", X25519, NoTickets, 0, 300, fullHandshakes},
	{"full handshake P-256", P256, NoTickets, 0, 300, fullHandshakes},
	{"full handshake with ticket", X25519, DropTicket, 0, 300, fullHandshakes},
	{"resumed handshake", X25519, UseTicket, 0, 400, func(s *Stack, t Timer, n int) error {
		return s.Handshakes(t, n, true)
	}},
}

func fullHandshakes(s *Stack, t Timer, n int) error { return s.Handshakes(t, n, false) }

// Stacks returns package gnutls and crypto/tls, set up for w.
func (w *Workload) Stacks() ([2]*Stack, error) {
	ours, err := GnuTLS(w.Group, w.Tickets)
	if err != nil {
		return [2]*Stack{}, err
	}
	theirs, err := CryptoTLS(w.Group, w.Tickets)
	return [2]*Stack{ours, theirs}, err
}
