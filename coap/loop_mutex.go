package coap

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
)

// A mutex serialises libcoap. For a context of a C program it belongs to a thread, which
// may lock it again: libcoap's callbacks run with it locked, and the program's may call
// Go.
type mutex struct {
	sync.Mutex
	shared bool         // with a C program; does not change
	holder atomic.Int64 // the thread that has it, or 0
	depth  int          // how often its thread has locked it again
}

// Lock locks m. The goroutine keeps its thread until Unlock.
func (m *mutex) Lock() {
	if m.shared {
		runtime.LockOSThread()
	}
	m.take()
}

// Unlock unlocks m.
func (m *mutex) Unlock() {
	m.letGo()
	if m.shared {
		runtime.UnlockOSThread()
	}
}

// take is Lock where the thread is kept anyway.
func (m *mutex) take() {
	if m.mine() {
		m.depth++
		return
	}
	m.Mutex.Lock()
	if m.shared {
		m.holder.Store(int64(syscall.Gettid()))
	}
}

func (m *mutex) letGo() {
	if m.depth > 0 {
		m.depth--
		return
	}
	if m.shared {
		m.holder.Store(0)
	}
	m.Mutex.Unlock()
}

// mine reports whether the calling thread has locked m. It is for those of C programs.
func (m *mutex) mine() bool {
	return m.shared && m.holder.Load() == int64(syscall.Gettid())
}

// nested reports whether the thread that has m has locked it again.
func (m *mutex) nested() bool { return m.depth > 0 }
