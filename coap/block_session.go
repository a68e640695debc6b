package coap

import "sync/atomic"

// transfers are what a session knows of bodies in blocks.
type transfers struct {
	requests atomic.Int64  // that are under way, but for GET
	tags     atomic.Uint64 // the last Request-Tag
	bert     atomic.Bool   // the peer has sent a message of several blocks
	mtu      atomic.Int32  // that the user has set, or 0
	bodies   map[string]*storedBody
}
