package flags

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// A signalError is the cause of the end of a command's context.
type signalError struct{ signal syscall.Signal }

func (e signalError) Error() string { return fmt.Sprintf("ended by a signal: %v", e.signal) }

// Main runs a command, and exits with the status that it returns. SIGINT and SIGTERM end its
// context, and a second signal the process.
func Main(run func(ctx context.Context) int) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		s := <-signals
		signal.Stop(signals)
		cancel(signalError{s.(syscall.Signal)})
	}()
	os.Exit(run(ctx))
}

// Interrupted returns the status of a command that a signal has ended before its work was done,
// as shells give it: 130 after SIGINT. ok is false where there was no signal.
func Interrupted(ctx context.Context) (status int, ok bool) {
	var e signalError
	if !errors.As(context.Cause(ctx), &e) {
		return 0, false
	}
	return 128 + int(e.signal), true
}
