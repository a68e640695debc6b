package cgnutls

/*
#include <string.h>
#include "session.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/gnucoap/gnucoap/internal/cshim/handle"
)

// Callbacks are the Go functions that a handshake may call from inside
// GnuTLS, each on a goroutine of its own. Any of
// them may be nil where the session was set up without it.
type Callbacks struct {
	// Enter, if set, is called before PSK, LimitTickets and a crypto.Signer are. Its error
	// is that of the function, which is not called.
	Enter func() error
	// PSK returns the key of an identity, or nil where there is none.
	PSK func(identity []byte) ([]byte, error)
	// ClientHello returns the credentials for a client that asks for a name, or
	// nil for those that the session has. They must outlive the session.
	ClientHello func(serverName string) *CertificateCredentials
	// LimitTickets returns how many of n tickets to send to a client that asks
	// for them: 0 to n.
	LimitTickets func(asked TicketCounts, resumed bool, n int) int
	// EarlyData returns what is to decide on the early data of a ClientHello, or
	// nil to refuse them. It must live until DropAntiReplay.
	EarlyData func() *AntiReplay
	// ReplayAdd records a ClientHello with early data and reports whether it is
	// new. Otherwise, or with an error, the early data are refused.
	ReplayAdd func() (bool, error)
	// StorePut, StoreGet and StoreDelete keep TLS 1.2 sessions. StoreGet
	// returns nil where there is none.
	StorePut    func(id, data []byte, expires time.Time) error
	StoreGet    func(id []byte) ([]byte, error)
	StoreDelete func(id []byte) error

	// Err is the first error or panic of a callback of the handshake, also of
	// a crypto.Signer.
	Err error
}

// ErrUnknownIdentity says that Callbacks.PSK has no key.
var ErrUnknownIdentity = errors.New("unknown identity")

// A PanicError is the panic of a function that GnuTLS called.
type PanicError = handle.PanicError

// Guard calls a function of the user as callbacks are called: a panic is an error.
func Guard(f func() error) error { return handle.Guard(f) }

// failed records err for the handshake whose handle this is.
func failed(session unsafe.Pointer, err error) {
	if cb, ok := handle.Lookup[*Callbacks](session); ok && cb.Err == nil {
		cb.Err = err
	}
}

// give hands a copy of b to C, in memory of gnutls_malloc.
func give(d *C.gnutls_datum_t, b []byte) error {
	if len(b) == 0 {
		return errors.New("empty result")
	}
	p := C.cshim_malloc(C.size_t(len(b)))
	if p == nil {
		return errors.New("out of memory")
	}
	C.memcpy(p, unsafe.Pointer(&b[0]), C.size_t(len(b)))
	d.data = (*C.uchar)(p)
	d.size = C.uint(len(b))
	return nil
}

// enter is with for what Callbacks.Enter is about.
func enter(session unsafe.Pointer, what string, f func(cb *Callbacks) error) C.int {
	return with(session, what, func(cb *Callbacks) error {
		if cb.Enter != nil {
			if err := cb.Enter(); err != nil {
				return err
			}
		}
		return f(cb)
	})
}

// with runs one callback of the handshake and records its error.
func with(session unsafe.Pointer, what string, f func(cb *Callbacks) error) C.int {
	cb, ok := handle.Lookup[*Callbacks](session)
	if !ok {
		return -1
	}
	if err := handle.Guard(func() error { return f(cb) }); err != nil {
		failed(session, fmt.Errorf("%s: %w", what, err))
		return -1
	}
	return 0
}

//export goGnutlsPSK
func goGnutlsPSK(session, identity unsafe.Pointer, size C.size_t, key *C.gnutls_datum_t) C.int {
	return enter(session, "looking up the pre-shared key", func(cb *Callbacks) error {
		id := C.GoBytes(identity, C.int(size))
		k, err := cb.PSK(id)
		if err != nil {
			return err
		}
		if len(k) == 0 {
			return fmt.Errorf("%w %.64q", ErrUnknownIdentity, id)
		}
		return give(key, k)
	})
}

//export goGnutlsClientHello
func goGnutlsClientHello(session, name unsafe.Pointer, size C.size_t) unsafe.Pointer {
	var cred unsafe.Pointer
	with(session, "choosing the certificate", func(cb *Callbacks) error {
		if c := cb.ClientHello(C.GoStringN((*C.char)(name), C.int(size))); c != nil {
			cred = unsafe.Pointer(c.c)
		}
		return nil
	})
	return cred
}

//export goGnutlsLimitTickets
func goGnutlsLimitTickets(session unsafe.Pointer, newSession, resumption, resumed, n C.int) C.int {
	limited := n
	code := enter(session, "limiting the tickets", func(cb *Callbacks) error {
		asked := TicketCounts{New: uint8(newSession), Resumed: uint8(resumption)}
		limited = C.int(cb.LimitTickets(asked, resumed != 0, int(n)))
		return nil
	})
	if code < 0 {
		return code
	}
	return limited
}

//export goGnutlsEarlyData
func goGnutlsEarlyData(session unsafe.Pointer) unsafe.Pointer {
	var native unsafe.Pointer
	with(session, "accepting early data", func(cb *Callbacks) error {
		if a := cb.EarlyData(); a != nil {
			native = unsafe.Pointer(a.a)
		}
		return nil
	})
	return native
}

//export goGnutlsReplayAdd
func goGnutlsReplayAdd(session unsafe.Pointer) C.int {
	added := false
	with(session, "recording early data", func(cb *Callbacks) (err error) {
		added, err = cb.ReplayAdd()
		added = added && err == nil
		return err
	})
	if !added {
		return -1
	}
	return 0
}

//export goGnutlsStorePut
func goGnutlsStorePut(session, id unsafe.Pointer, idSize C.size_t, data unsafe.Pointer,
	size C.size_t) C.int {
	return with(session, "storing the session", func(cb *Callbacks) error {
		entry := C.gnutls_datum_t{data: (*C.uchar)(data), size: C.uint(size)}
		expires := time.Unix(int64(C.gnutls_db_check_entry_expire_time(&entry)), 0)
		return cb.StorePut(C.GoBytes(id, C.int(idSize)), C.GoBytes(data, C.int(size)), expires)
	})
}

//export goGnutlsStoreGet
func goGnutlsStoreGet(session, id unsafe.Pointer, idSize C.size_t, data *C.gnutls_datum_t) C.int {
	return with(session, "fetching the session", func(cb *Callbacks) error {
		b, err := cb.StoreGet(C.GoBytes(id, C.int(idSize)))
		if err != nil || len(b) == 0 {
			return err
		}
		return give(data, b)
	})
}

//export goGnutlsStoreDelete
func goGnutlsStoreDelete(session, id unsafe.Pointer, idSize C.size_t) C.int {
	return with(session, "deleting the session", func(cb *Callbacks) error {
		return cb.StoreDelete(C.GoBytes(id, C.int(idSize)))
	})
}
