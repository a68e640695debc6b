package coap

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

type queued struct {
	links[*queued]
	n int
}

func TestQueue(t *testing.T) {
	for _, removed := range [][]int{{}, {0}, {1}, {2}, {0, 1}, {1, 0}, {2, 1}, {0, 2}, {0, 1, 2},
		{2, 1, 0}, {1, 2, 0}} {
		var q queue[*queued]
		all := []*queued{{n: 0}, {n: 1}, {n: 2}}
		for _, e := range all {
			q.add(e)
		}
		left := []int{0, 1, 2}
		for _, n := range removed {
			q.remove(all[n])
			q.add(all[n])
			q.remove(all[n])
			left = slices.DeleteFunc(left, func(l int) bool { return l == n })
		}
		var forth, back []int
		for e := q.oldest; e != nil; e = e.newer {
			forth = append(forth, e.n)
		}
		for e := q.newest; e != nil; e = e.older {
			back = append([]int{e.n}, back...)
		}
		assert.Equal(t, left, append([]int{}, forth...), removed)
		assert.Equal(t, left, append([]int{}, back...), removed)
		assert.Equal(t, len(left), q.n)
	}
}
