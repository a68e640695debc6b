// Package coappeer holds scripted CoAP peers for tests: a UDP socket, a TCP
// connection and a relay that loses, doubles and reorders datagrams. It is
// independent of libcoap and of package coap, sends what it is told to without
// a look at whether that is allowed, answers nothing by itself and keeps all
// that arrives.
//
// Everything listens on 127.0.0.1, ends with the test that started it, and may
// be used from any goroutine. Functions that take a testing.TB end the test
// when they fail, so they are for its own goroutine.
package coappeer
