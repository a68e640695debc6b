package handle

import (
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
)

func TestLookupFindsWhatNewWasGiven(t *testing.T) {
	before := Live()
	a, b := New("a"), New("b")
	assert.Equal(t, before+2, Live())
	v, ok := Lookup[string](a.Pointer())
	assert.True(t, ok)
	assert.Equal(t, "a", v)
	v, ok = Lookup[string](b.Pointer())
	assert.True(t, ok)
	assert.Equal(t, "b", v)
	a.Delete()
	b.Delete()
	assert.Equal(t, before, Live())
}

func TestLookupRefusesWhatIsNoHandle(t *testing.T) {
	h := New(1)
	p := h.Pointer()
	_, ok := Lookup[string](p)
	assert.False(t, ok, "another type")
	h.Delete()
	h.Delete()
	_, ok = Lookup[int](p)
	assert.False(t, ok, "deleted")
	_, ok = Lookup[int](nil)
	assert.False(t, ok, "nil")
	var x int
	_, ok = Lookup[int](unsafe.Pointer(&x))
	assert.False(t, ok, "an address of something else")
	assert.Zero(t, Live())
}

func TestManyGoroutinesMakeHandles(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range 1000 {
				h := New([2]int{i, j})
				v, ok := Lookup[[2]int](h.Pointer())
				if !ok || v != [2]int{i, j} {
					t.Errorf("got %v, %v for %d, %d", v, ok, i, j)
				}
				h.Delete()
			}
		}()
	}
	wg.Wait()
	assert.Zero(t, Live())
}
