package coap

// A queue is a doubly linked list. Its elements embed links, and each is in one queue at most.
type queue[E linked[E]] struct {
	oldest, newest E
	n              int
}

type linked[E any] interface {
	comparable
	neighbours() *links[E]
}

type links[E any] struct{ older, newer E }

func (l *links[E]) neighbours() *links[E] { return l }

// add puts an element at the end.
func (q *queue[E]) add(e E) {
	*q.after(q.newest) = e
	e.neighbours().older = q.newest
	q.newest = e
	q.n++
}

func (q *queue[E]) remove(e E) {
	at := e.neighbours()
	*q.after(at.older) = at.newer
	*q.before(at.newer) = at.older
	*at = links[E]{}
	q.n--
}

// after is where the neighbour of an element is that is newer. Before the oldest one there is
// the zero value.
func (q *queue[E]) after(e E) *E {
	if e == *new(E) {
		return &q.oldest
	}
	return &e.neighbours().newer
}

// before is where the neighbour of an element is that is older. Behind the newest one there is
// the zero value.
func (q *queue[E]) before(e E) *E {
	if e == *new(E) {
		return &q.newest
	}
	return &e.neighbours().older
}
