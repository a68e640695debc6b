package gnutls

import (
	"sync"
	"sync/atomic"
)

// maxKept bounds the application data that SessionData keeps for Read.
const maxKept = 1 << 20

// keptData are application data that have come and are yet to be read: what SessionData received,
// and a server's early data. Only the goroutine that reads the connection adds to them; its
// methods may be called from any goroutine.
type keptData struct {
	some atomic.Bool // whether there are any

	mu   sync.Mutex // guards data
	data []byte
}

// add keeps a copy of data.
func (k *keptData) add(data []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.data = append(k.data, data...)
	k.some.Store(len(k.data) > 0)
}

func (k *keptData) full() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.data) >= maxKept
}

// take moves data to p.
func (k *keptData) take(p []byte) int {
	if !k.some.Load() {
		return 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	n := copy(p, k.data)
	if k.data = k.data[n:]; len(k.data) == 0 {
		k.data = nil
		k.some.Store(false)
	}
	return n
}
