//go:build cgo

package handle

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// A PanicError is the panic of a function that C called.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic in a callback: %v", e.Value) }

var (
	errGoexit = errors.New("the callback ended its goroutine (runtime.Goexit)")
	// ErrSlow says that a function did not return in time.
	ErrSlow = errors.New("the callback did not return in time")
)

// Guard calls f for C. A panic and runtime.Goexit stay out of C: f runs on a
// goroutine of its own, and they are its error.
func Guard(f func() error) error {
	_, err := GuardFor(0, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// GuardFor is Guard for a function with a result, and with a limit, unless that
// is 0: when it is over, the error is ErrSlow and what f returns is lost.
func GuardFor[T any](limit time.Duration, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errGoexit}
		defer func() {
			if v := recover(); v != nil {
				r.err = &PanicError{Value: v, Stack: debug.Stack()}
			}
			done <- r
		}()
		r.v, r.err = f()
	}()
	var slow <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		slow = timer.C
	}
	select {
	case r := <-done:
		return r.v, r.err
	case <-slow:
		var none T
		return none, ErrSlow
	}
}
