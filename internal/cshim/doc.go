// Package cshim holds the C side of this module: handle carries Go values through C, cgnutls calls
// libgnutls, ccoap calls libcoap, and tlsref names what one of these hands to the other. No package
// outside this directory imports "C"; a test in this package enforces it.
//
// A shim translates, extends and mends. What translates returns the library's own result codes and
// Go values that own their memory: its files and functions have plain names. Files named ext_…,
// with functions cshim_ext_…, add what the library lacks. Files named fix_…, with functions
// cshim_fix_…, mend its faults: each begins with the fault, the versions that have it, the version
// that no longer has it, and the test that shows it. What is replaced in libcoap for either stands
// in one table, ccoap/interpose.h. Policy, cleanups and error texts belong to the public packages
// above.
//
// The C files of a shim are layers; a test fails where one needs another that needs it. In cgnutls
// the ground is base (what a session is), in ccoap it is identity (what a context and a session
// are) and interpose (how functions are replaced).
//
// # How to add a wrapper
//
//  1. Find the topic: the file of the shim that is named after it. A new
//     topic is a trio topic.go, topic.h, topic.c.
//  2. Where one C call is enough, call it from Go. Write C where several
//     calls belong together in one crossing, where C needs a callback, or
//     where the C interface is a macro or a variable (gnutls_free). Name it
//     cshim_….
//  3. Write the Go function. Its doc comment ends with an "Implements:" block
//     that holds the C declaration. Copy C memory out at once and free it in
//     the same function.
//  4. A callback from C into Go is an //export function named goGnutls… or
//     goCoap…. It looks its handle up, calls one Go function that recovers
//     from panics, and returns.
//  5. A new kind of native object gets a counter in live.go, which its New
//     increments and its Free decrements.
//  6. Add the method of the public type, with "defer runtime.KeepAlive(x)"
//     as its first line if it passes x's native object on.
package cshim
