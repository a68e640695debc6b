// Package flags holds what the command lines of the TLS commands share. Its
// errors name the flag and its value in one line.
package flags

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/gnucoap/gnucoap/gnutls"
)

// An Error is an error in what the user asked for.
type Error struct{ error }

// Unwrap returns the cause.
func (e Error) Unwrap() error { return e.error }

// Errorf is fmt.Errorf for an Error.
func Errorf(format string, args ...any) error { return Error{fmt.Errorf(format, args...)} }

// Bad says that the value of a flag cannot be used.
func Bad(name, value string, reason any) error { return Errorf("-%s %q: %v", name, value, reason) }

// Protocols splits the value of -alpn.
func Protocols(alpn string) []string {
	if alpn == "" {
		return nil
	}
	return strings.Split(alpn, ",")
}

// CheckProtocols checks the value of -alpn.
func CheckProtocols(alpn string) error {
	for _, p := range Protocols(alpn) {
		if len(p) == 0 || len(p) > 255 {
			return Bad("alpn", alpn, "a protocol has 1 to 255 bytes")
		}
	}
	return nil
}

// KeyPair loads the files of -cert and -key. Without the latter the former
// holds the key as well.
func KeyPair(cert, key string) (gnutls.Certificate, error) {
	if key == "" {
		pair, err := gnutls.LoadX509KeyPair(cert, cert)
		if err != nil {
			err = Bad("cert", cert, err)
		}
		return pair, err
	}
	pair, err := gnutls.LoadX509KeyPair(cert, key)
	if err != nil {
		err = Errorf("-cert %q -key %q: %w", cert, key, err)
	}
	return pair, err
}

// Pool loads the certificate authorities in the file of a flag.
func Pool(name, file string) (*gnutls.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, Bad(name, file, err)
	}
	pool := gnutls.NewCertPool()
	if err := AppendCerts(pool, file, pem); err != nil {
		return nil, Bad(name, file, err)
	}
	return pool, nil
}

// AppendCerts adds the certificates in the PEM data of a file. It warns on standard error
// of those that cannot be read, as long as there are others.
func AppendCerts(pool *gnutls.CertPool, file string, pem []byte) error {
	err := pool.AppendCertsFromPEM(pem)
	var skipped *gnutls.SkippedCertsError
	if errors.As(err, &skipped) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
		return nil
	}
	return err
}
