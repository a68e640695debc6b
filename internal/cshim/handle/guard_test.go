package handle

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGuard(t *testing.T) {
	boom := errors.New("boom")
	assert.NoError(t, Guard(func() error { return nil }))
	assert.Equal(t, boom, Guard(func() error { return boom }))
	assert.ErrorIs(t, Guard(func() error { runtime.Goexit(); return nil }), errGoexit)
	var panicked *PanicError
	require.ErrorAs(t, Guard(func() error { panic(boom) }), &panicked)
	assert.Equal(t, boom, panicked.Value)
	assert.Contains(t, string(panicked.Stack), "guard_test.go")
	assert.EqualError(t, panicked, "panic in a callback: boom")
}

func TestGuardFor(t *testing.T) {
	v, err := GuardFor(time.Minute, func() (int, error) { return 7, nil })
	require.NoError(t, err)
	assert.Equal(t, 7, v)

	release, ended := make(chan struct{}), make(chan struct{})
	v, err = GuardFor(time.Millisecond, func() (int, error) {
		defer close(ended)
		<-release
		return 7, nil
	})
	assert.Equal(t, ErrSlow, err)
	assert.Zero(t, v)
	close(release)
	<-ended
}
