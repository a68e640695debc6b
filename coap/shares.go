package coap

import (
	"container/heap"
	"container/list"
	"net/netip"
)

// Shares tell which address holds most of something that there is only so much of, so that
// one address cannot have all of it: when it is full, that one loses its oldest. All peers
// without a proved address hold one portion together. The zero value is ready for use.
type shares struct {
	byAddr map[netip.Addr]*portion
	heap   shareHeap // the largest first
}

type portion struct {
	addr   netip.Addr
	weight int
	index  int       // in the heap
	held   list.List // of *holding, the one that was used last at the end
}

// A holding is a part of a portion.
type holding struct {
	owner   any
	portion *portion // nil: it is in none
	elem    *list.Element
	weight  int
}

// holder is whose portion a session's holdings are in.
func (c *conn) holder() netip.Addr {
	if c.address.unproved() {
		return netip.Addr{}
	}
	return network(c.remote.Addr())
}

// add adds a holding, as the one that was used last.
func (s *shares) add(h *holding, addr netip.Addr, weight int) {
	part := s.byAddr[addr]
	if part == nil {
		if s.byAddr == nil {
			s.byAddr = make(map[netip.Addr]*portion)
		}
		part = &portion{addr: addr}
		s.byAddr[addr] = part
		heap.Push(&s.heap, part)
	}
	h.portion, h.elem, h.weight = part, part.held.PushBack(h), 0
	s.weigh(h, weight)
}

// weigh changes what a holding weighs.
func (s *shares) weigh(h *holding, weight int) {
	h.portion.weight += weight - h.weight
	h.weight = weight
	heap.Fix(&s.heap, h.portion.index)
}

// use notes that a holding is used.
func (s *shares) use(h *holding) { h.portion.held.MoveToBack(h.elem) }

// remove removes a holding, if it is there.
func (s *shares) remove(h *holding) {
	part := h.portion
	if part == nil {
		return
	}
	s.weigh(h, 0)
	part.held.Remove(h.elem)
	h.portion, h.elem = nil, nil
	if part.held.Len() == 0 {
		heap.Remove(&s.heap, part.index)
		delete(s.byAddr, part.addr)
	}
}

// move moves a holding to the portion of another address.
func (s *shares) move(h *holding, addr netip.Addr) {
	weight := h.weight
	s.remove(h)
	s.add(h, addr, weight)
}

// largest returns the owner of what was used longest ago in the largest portion. There must be
// one.
func (s *shares) largest() any { return s.heap[0].held.Front().Value.(*holding).owner }

type shareHeap []*portion

func (h shareHeap) Len() int           { return len(h) }
func (h shareHeap) Less(i, j int) bool { return h[i].weight > h[j].weight }

func (h shareHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *shareHeap) Push(x any) {
	x.(*portion).index = len(*h)
	*h = append(*h, x.(*portion))
}

func (h *shareHeap) Pop() any {
	last := (*h)[len(*h)-1]
	(*h)[len(*h)-1] = nil
	*h = (*h)[:len(*h)-1]
	return last
}
