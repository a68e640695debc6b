package coap

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTodoRunsInOrderAndWhatItAdds(t *testing.T) {
	var todo todo
	var ran []string
	note := func(what string) func() { return func() { ran = append(ran, what) } }
	todo.locked(func() {
		note("first")()
		todo.locked(note("added"))
		todo.unlocked(note("outside"))
	})
	todo.locked(note("second"))
	todo.run()
	assert.Equal(t, []string{"first", "second", "added"}, ran)
	todo.run()
	assert.Len(t, ran, 3, "each is called once")
	for _, f := range todo.takeUnlocked() {
		f()
	}
	assert.Equal(t, "outside", ran[3])
	assert.Empty(t, todo.takeUnlocked())

	todo.locked(note("dropped"))
	todo.drop()
	todo.run()
	assert.Len(t, ran, 4)
}
