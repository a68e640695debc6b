package coap

import (
	"runtime"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// newSharedLoop is newLoop for a context of a C program.
func newSharedLoop(context ccoap.NativeContext, config Config, borrowed bool) (*loop, error) {
	l := makeLoop(config)
	l.shared, l.borrowed, l.mutex.shared = true, borrowed, true
	if ccoap.ForgetsBodies {
		l.requests.shared = make(map[messageID]*serverRequest)
	}
	// A program's thread may find the loop as soon as there is the native context.
	l.mutex.Lock()
	native, err := ccoap.AdoptContext(context, borrowed, l.callbacks())
	if err == nil && !borrowed {
		if err = l.driver.open(native); err != nil {
			native.GiveBack()
		}
	}
	if err != nil {
		l.mutex.Unlock()
		return nil, err
	}
	for _, id := range config.CriticalOptions {
		native.RegisterOption(uint16(id))
	}
	l.native = native
	if borrowed { // it stays locked
		return l, nil
	}
	l.mutex.Unlock()
	go l.driver.run()
	return l, nil
}

// A program is the C program that shares the context of a loop. Its methods are what the program
// calls, on threads that are kept anyway. They lock the loop by themselves, and may leave it
// locked.
type program struct{ l *loop }

func (p program) functions() ccoap.Program {
	return ccoap.Program{
		Owner: p.l,
		Take:  p.take,
		LetGo: p.letGo,
		Wait: func() {
			p.l.unnest()
			p.letGo()
		},
		Resume: p.resume,
		Processed: func() {
			b, _ := p.l.turn(-1, false)
			if b != nil {
				go b.run()
			}
			p.letGo()
			p.resume()
		},
	}
}

func (p program) take() { p.l.mutex.take() }

// letGo leaves the loop, if the thread has it.
func (p program) letGo() {
	if !p.l.mutex.mine() {
		return
	}
	runtime.LockOSThread()
	p.l.leave()
}

// resume takes the loop. It reports whether Go has the context.
func (p program) resume() bool {
	p.l.mutex.take()
	if p.l.native == nil {
		p.l.mutex.letGo()
		return false
	}
	return true
}
