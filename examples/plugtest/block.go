package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/gnucoap/gnucoap/coap"
)

// large is a body of more than 1024 bytes.
var large = strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz\n", 50)

// addBlocks adds the resources of the BLOCK cases.
func addBlocks(mux *coap.Mux) {
	size := coap.Attr("sz", strconv.Itoa(len(large)))
	mux.HandleFunc("GET /large", func(w coap.ResponseWriter, r *coap.Request) { text(w, r, large) },
		size)
	mux.Handle("/large-update", newNote(large), size)
	mux.HandleFunc("POST /large-post", func(w coap.ResponseWriter, r *coap.Request) {
		text(w, r, fmt.Sprintf("%d bytes\n%s", len(r.Body), large))
	})
	created := &created{}
	mux.HandleFunc("POST /large-create", created.add)
	mux.HandleFunc("GET /large-create/{n}", created.get)
}

// A created holds the last bodies that were posted.
type created struct {
	mu    sync.Mutex
	count int
	notes [10]*note
}

func (c *created) add(w coap.ResponseWriter, r *coap.Request) {
	n := newNote("")
	n.replace(r)
	c.mu.Lock()
	c.count++
	count := c.count
	c.notes[count%len(c.notes)] = n
	c.mu.Unlock()
	w.SetCode(coap.CodeCreated)
	w.Options().AddString(coap.OptionLocationPath, "large-create")
	w.Options().AddString(coap.OptionLocationPath, strconv.Itoa(count))
}

func (c *created) get(w coap.ResponseWriter, r *coap.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	c.mu.Lock()
	var found *note
	if err == nil && n > 0 && n <= c.count && n > c.count-len(c.notes) {
		found = c.notes[n%len(c.notes)]
	}
	c.mu.Unlock()
	if found == nil {
		w.SetCode(coap.CodeNotFound)
		return
	}
	found.ServeCoAP(w, r)
}
