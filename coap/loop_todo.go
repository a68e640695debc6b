package coap

// A todo keeps what cannot be done at once, because libcoap is in a callback or because it must
// not be done with the loop locked.
type todo struct {
	inside  []func()
	outside []func()
}

// locked has f called with the loop locked, once libcoap is not in a callback.
func (t *todo) locked(f func()) { t.inside = append(t.inside, f) }

// unlocked has f called once the loop is unlocked.
func (t *todo) unlocked(f func()) { t.outside = append(t.outside, f) }

// run calls what is to be called with the loop locked, and what that leaves.
func (t *todo) run() {
	for len(t.inside) > 0 {
		inside := t.inside
		t.inside = nil
		for _, f := range inside {
			f()
		}
	}
}

// drop forgets what is to be called with the loop locked.
func (t *todo) drop() { t.inside = nil }

// takeUnlocked returns the functions to call once the loop is unlocked.
func (t *todo) takeUnlocked() []func() {
	outside := t.outside
	t.outside = nil
	return outside
}
