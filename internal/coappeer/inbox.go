package coappeer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// wait bounds what a test waits for; nothing takes this long.
const wait = 20 * time.Second

// A Received is a message that has arrived.
type Received struct {
	Message                // as far as Data is one
	Err     error          // why Data is empty
	Data    []byte         // as it came
	From    netip.AddrPort // who sent it
	Time    time.Time      // when
}

// An inbox keeps what arrives.
type inbox struct {
	mu    sync.Mutex // guards what follows
	all   []Received
	taken int           // how much of all has been received
	end   error         // why no more comes
	news  chan struct{} // closed at the next change
}

func newInbox() *inbox { return &inbox{news: make(chan struct{})} }

func (in *inbox) put(r Received) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.all = append(in.all, r)
	in.changed()
}

func (in *inbox) close(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.end = err
	in.changed()
}

func (in *inbox) changed() {
	close(in.news)
	in.news = make(chan struct{})
}

// take returns the next entry. If there is none yet it returns a channel
// that is closed at the next change.
func (in *inbox) take() (r Received, news <-chan struct{}, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.taken < len(in.all):
		in.taken++
		return in.all[in.taken-1], nil, nil
	case in.end != nil:
		return Received{}, nil, in.end
	}
	return Received{}, in.news, nil
}

var errNothing = errors.New("coappeer: nothing came")

// next waits for the next entry.
func (in *inbox) next(timeout <-chan time.Time) (Received, error) {
	for {
		r, news, err := in.take()
		if news == nil {
			return r, err
		}
		select {
		case <-news:
		case <-timeout:
			return Received{}, errNothing
		}
	}
}

// Captured returns all that has arrived, oldest first, be it received or not.
func (in *inbox) Captured() []Received {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.all)
}

// Receive waits for the next message. One that cannot be read ends the test.
func (in *inbox) Receive(t testing.TB) Received {
	t.Helper()
	r := in.ReceiveRaw(t)
	if r.Err != nil {
		t.Fatalf("%v: %x", r.Err, r.Data)
	}
	return r
}

// ReceiveRaw waits for whatever comes next.
func (in *inbox) ReceiveRaw(t testing.TB) Received {
	t.Helper()
	r, err := in.next(time.After(wait))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// expect is Receive, and ends the test if the message is not the expected one.
func (in *inbox) expect(t testing.TB, want string, ok func(Received) bool) Received {
	t.Helper()
	r, err := in.next(time.After(wait))
	if err == nil {
		err = r.Err
	}
	if err != nil {
		t.Fatalf("waiting for %s: %v", want, err)
	}
	if !ok(r) {
		t.Fatalf("waiting for %s: %v came", want, r.Message)
	}
	return r
}

// answer calls f for every message, in order, until no more comes.
func (in *inbox) answer(f func(Received)) {
	for {
		r, err := in.next(nil)
		if err != nil {
			return
		}
		if r.Err == nil {
			f(r)
		}
	}
}

func describe(t Type, c Code) string { return fmt.Sprintf("%v %v", t, c) }
