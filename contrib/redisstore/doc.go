// Package redisstore shares what servers of package gnutls have to remember
// through redis: a Store is a gnutls.SessionStore and a gnutls.AntiReplay.
//
// No connection fails because of redis. While redis is down or slow, TLS 1.2 clients
// that want to resume by session ID make full handshakes, and early data are refused.
package redisstore
