package coapflags

import (
	"bufio"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/gnutls"
)

// Credentials are the flags for certificates.
type Credentials struct {
	Cert     string // -c
	Key      string // -j
	RawKey   string // -M
	CA       string // -C
	Roots    string // -R
	NoVerify bool   // -n
	pin      string
}

// AddFlags defines the flags.
func (c *Credentials) AddFlags(s *Set) {
	s.StringVarP(&c.Cert, "cert", "c", "",
		"PEM `file` with a certificate, and its key if -j is not given")
	s.StringVarP(&c.Key, "key-file", "j", "", "PEM `file` with the private key of -c")
	s.StringVarP(&c.CA, "ca", "C", "",
		"PEM `file` with the authorities that the peer's certificate must come from")
	s.StringVarP(&c.Roots, "trust", "R", "",
		"PEM `file`, or directory of such files, with further authorities")
	s.StringVarP(&c.RawKey, "raw-key", "M", "",
		"PEM `file` with a private key, to present as a raw public key")
	s.BoolVarP(&c.NoVerify, "no-verify", "n", false, "do not check the peer's certificate")
	s.StringVarP(&c.pin, "pin", "J", "", "PKCS #11 `pin`: not supported")
}

// Check checks the flags without reading any file.
func (c *Credentials) Check(s *Set) error {
	for name, file := range map[string]string{"c": c.Cert, "j": c.Key, "M": c.RawKey, "C": c.CA,
		"R": c.Roots} {
		if len(file) >= 7 && strings.EqualFold(file[:7], "pkcs11:") {
			return flags.Bad(name, file, "PKCS #11 is not supported")
		}
		if f := s.ShorthandLookup(name); f.Changed && file == "" {
			return flags.Bad(name, file, "no file is named")
		}
	}
	switch {
	case c.pin != "":
		return flags.Errorf("-J: PKCS #11 is not supported")
	case c.Cert != "" && c.RawKey != "":
		return flags.Errorf("-c and -M exclude each other")
	case c.Key != "" && c.Cert == "" && c.RawKey == "":
		return flags.Bad("j", c.Key, "it needs -c")
	}
	return nil
}

// Certificates loads -c and -j.
func (c *Credentials) Certificates() ([]gnutls.Certificate, error) {
	if c.Cert == "" {
		return nil, nil
	}
	key, name := c.Key, fmt.Sprintf("-c %q -j %q", c.Cert, c.Key)
	if key == "" {
		key, name = c.Cert, fmt.Sprintf("-c %q", c.Cert)
	}
	pair, err := gnutls.LoadX509KeyPair(c.Cert, key)
	if err != nil {
		return nil, flags.Errorf("%s: %w", name, err)
	}
	return []gnutls.Certificate{pair}, nil
}

// Authorities loads -C and -R; nil where neither is given.
func (c *Credentials) Authorities() (*gnutls.CertPool, error) {
	if c.CA == "" && c.Roots == "" {
		return nil, nil
	}
	pool := gnutls.NewCertPool()
	if c.CA != "" {
		if err := AppendFile(pool, c.CA); err != nil {
			return nil, flags.Bad("C", c.CA, err)
		}
	}
	if c.Roots != "" {
		if err := appendAll(pool, c.Roots); err != nil {
			return nil, flags.Bad("R", c.Roots, err)
		}
	}
	return pool, nil
}

// AppendFile adds the certificates in a PEM file.
func AppendFile(pool *gnutls.CertPool, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return flags.AppendCerts(pool, file, data)
}

// appendAll adds the certificates in a file, or in those of a directory that have any.
func appendAll(pool *gnutls.CertPool, path string) error {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return AppendFile(pool, path)
	}
	files, err := filepath.Glob(filepath.Join(path, "*"))
	if err != nil {
		return err
	}
	found := false
	for _, file := range files {
		found = AppendFile(pool, file) == nil || found
	}
	if !found {
		return errors.New("no file in the directory has certificates")
	}
	return nil
}

// RawPublicKey loads -M, or -j where that holds the key of -M.
func (c *Credentials) RawPublicKey() (crypto.Signer, error) {
	name, file := "M", c.RawKey
	if file == "" {
		return nil, nil
	}
	if c.Key != "" {
		name, file = "j", c.Key
	}
	signer, err := privateKey(file)
	if err != nil {
		return nil, flags.Bad(name, file, err)
	}
	return signer, nil
}

func privateKey(file string) (crypto.Signer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var key any
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
	}
	return nil, errors.New("no private key in it")
}

const (
	maxIdentity = 128
	maxKey      = 64
)

// CheckIdentity checks an identity.
func CheckIdentity(identity string) error {
	if len(identity) > maxIdentity {
		return fmt.Errorf("more than %d bytes", maxIdentity)
	}
	return nil
}

// CheckKey checks a pre-shared key. Its error does not contain the key.
func CheckKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("a key has 1 to %d bytes", maxKey)
	}
	return nil
}

// Key defines -k. Its value stays out of errors.
func (s *Set) Key(to *string, usage string) { s.StringVarP(to, "key", "k", "", usage) }

// GivenKey checks the value of -k.
func (s *Set) GivenKey(key string) error {
	if !s.Changed("key") {
		return nil
	}
	if err := CheckKey(key); err != nil {
		return flags.Errorf("-k: %w", err)
	}
	return nil
}

// Lines reads the file of a flag: lines of three fields with commas between them, of
// which the last may have more commas. Lines that begin with # do not count.
func Lines(name, file string) (lines [][3]string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, flags.Bad(name, file, err)
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	for n := 1; scanner.Scan(); n++ {
		line := scanner.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.SplitN(line, ",", 3)
		if len(fields) < 3 {
			return nil, flags.Bad(name, file, fmt.Sprintf("line %d has fewer than 3 fields", n))
		}
		lines = append(lines, [3]string(fields))
	}
	if err := scanner.Err(); err != nil {
		return nil, flags.Bad(name, file, err)
	}
	if len(lines) == 0 {
		return nil, flags.Bad(name, file, "the file is empty")
	}
	return lines, nil
}
