// Package redisstore shares what servers of package gnutls have to remember
// through redis: a Store is a gnutls.SessionStore and a gnutls.AntiReplay.
//
// Redis makes no connection fail and none slow. When it is down or slow, a TLS
// 1.2 client that wants to resume by session ID makes a full handshake, and
// early data are refused.
package redisstore
