package gnutls

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

const testPassword = "gnucoap" // of everything encrypted in testdata

func TestKeyPairsOfEveryForm(t *testing.T) {
	for _, c := range []struct {
		name, cert, key, password string
		chain                     int
	}{
		{"PEM", "server.pem", "server.key", "", 1},
		{"DER", "server.der", "server.key.der", "", 1},
		{"PEM certificate and DER key", "server.pem", "server.key.der", "", 1},
		{"SEC 1", "server.pem", "server.ec.key", "", 1},
		{"PKCS 1", "server-rsa.pem", "server-rsa.pkcs1.key", "", 1},
		{"RSA in PKCS 8", "server-rsa.pem", "server-rsa.key", "", 1},
		{"Ed25519", "server-ed25519.pem", "server-ed25519.key", "", 1},
		{"encrypted PKCS 8 in PEM", "server.pem", "server.enc.key", testPassword, 1},
		{"encrypted PKCS 8 in DER", "server.pem", "server.enc.key.der", testPassword, 1},
		{"old encrypted PEM", "server-rsa.pem", "server-rsa.pkcs1.enc.key", testPassword, 1},
		{"a password that is not needed", "server.pem", "server.key", "not needed", 1},
		{"a chain", "server-chain.pem", "server-chain.key", "", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert, err := LoadX509KeyPairPassword(testenv.File(c.cert), testenv.File(c.key), c.password)
			require.NoError(t, err)
			require.Len(t, cert.Certificate, c.chain)
			require.NotNil(t, cert.Leaf)
			assert.Equal(t, cert.Certificate[0], cert.Leaf.Raw)

			inMemory, err := X509KeyPairPassword(testenv.Read(t, c.cert), testenv.Read(t, c.key), c.password)
			require.NoError(t, err)
			assert.Equal(t, cert, inMemory)

			client, server := connect(t, clientConfig(t), &Config{Certificates: []Certificate{cert}})
			echo(t, client, server)
			assert.Equal(t, cert.Leaf.Raw, client.ConnectionState().PeerCertificates[0].Raw)
		})
	}
}

func TestKeyPairInOnePEMFileWithOtherBlocks(t *testing.T) {
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS",
		Bytes: []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}})
	all := slices.Concat([]byte("subject=CN = gnucoap test server\n"), parameters,
		testenv.Read(t, "server.ec.key"), []byte("text between\n"), testenv.Read(t, "server.pem"))
	for name, data := range map[string][]byte{
		"line feeds":               all,
		"carriage returns as well": bytes.ReplaceAll(all, []byte("\n"), []byte("\r\n")),
	} {
		t.Run(name, func(t *testing.T) {
			cert, err := X509KeyPair(data, data)
			require.NoError(t, err)
			assert.Equal(t, testCertificate(t, "server"), cert)
		})
	}

	encrypted := slices.Concat(testenv.Read(t, "server.pem"), testenv.Read(t, "server.enc.key"))
	_, err := X509KeyPair(encrypted, encrypted)
	require.ErrorIs(t, err, CodeDecryptionFailed)
	assert.ErrorContains(t, err, "no password was given")
}

func TestPKCS12(t *testing.T) {
	for _, file := range []string{"server.p12", "server-legacy.p12"} {
		t.Run(file, func(t *testing.T) {
			cert, err := ParsePKCS12(testenv.Read(t, file), testPassword)
			require.NoError(t, err)
			assert.Equal(t, testCertificate(t, "server").Leaf.Raw, cert.Certificate[0])
			c, s := connect(t, clientConfig(t), &Config{Certificates: []Certificate{cert}})
			echo(t, c, s)
		})
	}
	for name, password := range map[string]string{"wrong password": "wrong", "no password": ""} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePKCS12(testenv.Read(t, "server.p12"), password)
			require.ErrorIs(t, err, CodeDecryptionFailed)
			assert.EqualError(t, err,
				"gnutls: reading the PKCS #12 file: the password is wrong, or the data are damaged: Decryption has failed.")
		})
	}
	for name, data := range map[string][]byte{
		"empty":          nil,
		"a PEM file":     testenv.Read(t, "server.pem"),
		"a certificate":  testenv.Read(t, "server.der"),
		"a file cut off": testenv.Read(t, "server.p12")[:500],
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePKCS12(data, testPassword)
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.NotEmpty(t, e.Code.Name())
			assert.ErrorContains(t, err, "gnutls: reading the PKCS #12 file: ")
		})
	}
}

// changed returns the contents of a test file after a change.
func changed(t *testing.T, file string, change func([]byte) []byte) []byte {
	return change(testenv.Read(t, file))
}

func TestKeyPairsThatCannotBeUsed(t *testing.T) {
	cut := func(b []byte) []byte { return b[:len(b)-60] }
	dir := t.TempDir()
	files := map[string][]byte{
		"empty":          nil,
		"garbage":        []byte("\x30\x82 this is not DER"),
		"cut.key":        changed(t, "server.key", cut),
		"cut.pem":        changed(t, "server.pem", cut),
		"cut.key.der":    changed(t, "server.key.der", cut),
		"cut-second.pem": changed(t, "server-chain.pem", cut),
		"reversed.pem": slices.Concat(testenv.Read(t, "intermediate.pem"),
			testenv.Read(t, "server-chain.pem")),
		"wrong-der.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("not DER")}),
		"wrong-der.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("not DER")}),
	}
	for name, data := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	path := func(name string) string {
		if _, ours := files[name]; ours {
			return filepath.Join(dir, name)
		}
		return testenv.File(name)
	}
	for _, c := range []struct {
		name, cert, key, password string
		is                        error  // what the error matches, if anything
		says                      string // part of its text
	}{
		{"encrypted PEM key and no password", "server.pem", "server.enc.key", "", CodeDecryptionFailed,
			"no password was given"},
		{"encrypted DER key and no password", "server.pem", "server.enc.key.der", "",
			CodeDecryptionFailed, "no password was given"},
		{"old encrypted PEM key and no password", "server-rsa.pem", "server-rsa.pkcs1.enc.key", "",
			CodeDecryptionFailed, "no password was given"},
		{"encrypted PEM key and a wrong password", "server.pem", "server.enc.key", "wrong",
			CodeDecryptionFailed, "the password is wrong"},
		{"encrypted DER key and a wrong password", "server.pem", "server.enc.key.der", "wrong",
			CodeDecryptionFailed, "the password is wrong"},
		{"old encrypted PEM key and a wrong password", "server-rsa.pem", "server-rsa.pkcs1.enc.key",
			"wrong", CodeDecryptionFailed, "the password is wrong"},
		{"key of another certificate", "server.pem", "client.key", "", CodeKeyMismatch,
			`the private key does not belong to the certificate of "CN=gnucoap test server"`},
		{"key of another type", "server.pem", "server-rsa.key", "", CodeKeyMismatch,
			"the private key does not belong"},
		{"chain with the leaf last", "reversed.pem", "server-chain.key", "", CodeKeyMismatch,
			"gnucoap test intermediate CA"},
		{"damaged base64", "broken.pem", "server.key", "", nil, "certificate 1: damaged PEM"},
		{"certificate cut off", "cut.pem", "server.key", "", nil, "certificate 1: damaged PEM"},
		{"second certificate cut off", "cut-second.pem", "server-chain.key", "", nil,
			"certificate 2: damaged PEM"},
		{"certificate PEM that holds no DER", "wrong-der.pem", "server.key", "", nil,
			"certificate 1: x509: "},
		{"certificate file with a key", "server.key", "server.key", "", nil,
			"no CERTIFICATE block in the PEM data"},
		{"certificate file with neither", "notacert.pem", "server.key", "", nil,
			"no CERTIFICATE block in the PEM data"},
		{"certificate file with a revocation list", "ca.crl.pem", "server.key", "", nil,
			"no CERTIFICATE block in the PEM data"},
		{"empty certificate file", "empty", "server.key", "", nil, "certificate is neither PEM nor DER"},
		{"certificate file with garbage", "garbage", "server.key", "", nil,
			"certificate is neither PEM nor DER"},
		{"key file with a certificate", "server.pem", "server.pem", "", CodeNotAvailable,
			"private key: no PRIVATE KEY block in the PEM data"},
		{"key file with neither", "server.pem", "notacert.pem", "", CodeNotAvailable,
			"private key: no PRIVATE KEY block in the PEM data"},
		{"key cut off", "server.pem", "cut.key", "", nil, "private key: damaged: "},
		{"DER key cut off", "server.pem", "cut.key.der", "", nil, "private key: neither PEM nor DER: "},
		{"key PEM that holds no DER", "server.pem", "wrong-der.key", "", nil, "private key: damaged: "},
		{"empty key file", "server.pem", "empty", "", nil, "private key: neither PEM nor DER: "},
		{"key file with garbage", "server.pem", "garbage", "", nil, "private key: neither PEM nor DER: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert, err := LoadX509KeyPairPassword(path(c.cert), path(c.key), c.password)
			require.ErrorContains(t, err, c.says)
			assert.Zero(t, cert)
			assert.ErrorContains(t, err, "gnutls: ")
			assert.ErrorContains(t, err, path(c.cert))
			assert.ErrorContains(t, err, path(c.key))
			assert.NotContains(t, err.Error(), "\n")
			if c.is != nil {
				assert.ErrorIs(t, err, c.is)
			}
		})
	}
}

func TestKeyPairFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	for _, c := range []struct {
		name, cert, key string
		is              error
		says            string
	}{
		{"no certificate file", missing, testenv.File("server.key"), fs.ErrNotExist,
			"reading the certificate: open " + missing},
		{"no key file", testenv.File("server.pem"), missing, fs.ErrNotExist,
			"reading the private key: open " + missing},
		{"a directory in place of the key", testenv.File("server.pem"), dir, nil,
			"reading the private key: read " + dir},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := LoadX509KeyPair(c.cert, c.key)
			require.ErrorContains(t, err, c.says)
			var pathError *fs.PathError
			assert.ErrorAs(t, err, &pathError)
			if c.is != nil {
				assert.ErrorIs(t, err, c.is)
			}
		})
	}
}

// authority returns the test CA with its key, to issue certificates with.
func authority(t testing.TB, name string) (*x509.Certificate, crypto.Signer) {
	ca := testCertificate(t, name)
	return ca.Leaf, ca.PrivateKey.(crypto.Signer)
}

// issue makes a certificate that the test CA signs, for a key. change, which
// may be nil, changes it before it is signed.
func issue(t testing.TB, key crypto.Signer, change func(*x509.Certificate)) Certificate {
	t.Helper()
	der := issueDER(t, key, change)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// issueDER is issue for what crypto/x509 may not parse.
func issueDER(t testing.TB, key crypto.Signer, change func(*x509.Certificate)) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "issued by a test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{"localhost"},
	}
	if change != nil {
		change(template)
	}
	ca, caKey := authority(t, "ca")
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	require.NoError(t, err)
	return der
}

func ecdsaKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

// testSigner is a key whose type says nothing to this package, so that GnuTLS
// has to ask it for signatures.
type testSigner struct {
	crypto.Signer
	// sign, if set, is called in place of the key's Sign.
	sign  func(digest []byte, opts crypto.SignerOpts) ([]byte, error)
	calls atomic.Int32
	opts  atomic.Value // of the last call
}

func (s *testSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.calls.Add(1)
	s.opts.Store(&opts)
	if s.sign != nil {
		return s.sign(digest, opts)
	}
	return s.Signer.Sign(rand, digest, opts)
}

// signerConfig returns the configuration of a server whose private key is a
// testSigner with the P-256 key of the server.
func signerConfig(t testing.TB, sign func([]byte, crypto.SignerOpts) ([]byte, error)) (*Config,
	*testSigner) {
	cert := testCertificate(t, "server")
	signer := &testSigner{Signer: cert.PrivateKey.(crypto.Signer), sign: sign}
	cert.PrivateKey = signer
	return &Config{Certificates: []Certificate{cert}}, signer
}

func TestSignerAsPrivateKey(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	for _, key := range []struct {
		name     string
		key      crypto.Signer
		priority string // to force a signature algorithm
		versions []uint16
		opts     crypto.SignerOpts // nil: GnuTLS has a choice
	}{
		{"RSA PKCS 1", rsaKey, "NORMAL:-SIGN-ALL:+SIGN-RSA-SHA256:+SIGN-ECDSA-SHA256",
			[]uint16{VersionTLS12}, crypto.SHA256},
		{"RSA PKCS 1 SHA-512", rsaKey, "NORMAL:-SIGN-ALL:+SIGN-RSA-SHA512:+SIGN-ECDSA-SHA256",
			[]uint16{VersionTLS12}, crypto.SHA512},
		{"RSA PSS", rsaKey, "", []uint16{VersionTLS13},
			&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}},
		{"RSA PSS SHA-384", rsaKey,
			"NORMAL:-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-SHA384:+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SECP256R1-SHA256", []uint16{VersionTLS12, VersionTLS13},
			&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA384}},
		{"P-256", ecdsaKey(t, elliptic.P256()), "", []uint16{VersionTLS12, VersionTLS13}, crypto.SHA256},
		{"P-384", ecdsaKey(t, elliptic.P384()), "", []uint16{VersionTLS13}, crypto.SHA384},
		{"P-384 with any hash", ecdsaKey(t, elliptic.P384()), "", []uint16{VersionTLS12}, nil},
		{"P-521", ecdsaKey(t, elliptic.P521()), "", []uint16{VersionTLS13}, crypto.SHA512},
		{"Ed25519", edKey, "", []uint16{VersionTLS12, VersionTLS13}, crypto.Hash(0)},
	} {
		for _, version := range key.versions {
			for _, side := range []string{"server", "client"} {
				if key.name == "Ed25519" && version == VersionTLS12 && side == "client" {
					continue // GnuTLS 3.7 presents no Ed25519 certificate there
				}
				t.Run(key.name+"/"+VersionName(version)+"/"+side, func(t *testing.T) {
					signer := &testSigner{Signer: key.key}
					cert := issue(t, key.key, nil)
					cert.PrivateKey = signer
					client, server := clientConfig(t), serverConfig(t)
					client.MaxVersion, client.Priority = version, key.priority
					if side == "server" {
						server.Certificates = []Certificate{cert}
					} else {
						client.Certificates = []Certificate{cert}
						server.ClientAuth, server.ClientCAs = RequireAndVerifyClientCert, testPool(t, "ca.pem")
						server.Priority = key.priority
					}
					c, s := connect(t, client, server)
					echo(t, c, s)
					assert.Equal(t, version, c.ConnectionState().Version)
					assert.EqualValues(t, 1, signer.calls.Load())
					if key.opts != nil {
						assert.Equal(t, key.opts, *signer.opts.Load().(*crypto.SignerOpts))
					}
				})
			}
		}
	}
}

// TestSignerIsNotAskedToDecrypt: a crypto.Signer cannot serve the old RSA key
// exchange, and the handshake says so.
func TestSignerIsNotAskedToDecrypt(t *testing.T) {
	cert := testCertificate(t, "server-rsa")
	client := clientConfig(t)
	client.Priority = "NORMAL:-VERS-TLS1.3:-KX-ALL:+RSA"
	c, s := connect(t, client, &Config{Certificates: []Certificate{cert}})
	echo(t, c, s)

	cert.PrivateKey = &testSigner{Signer: cert.PrivateKey.(crypto.Signer)}
	_, _, clientErr, serverErr := shake(t, client, &Config{Certificates: []Certificate{cert}})
	assert.ErrorIs(t, serverErr, CodeDecryptionFailed)
	assert.ErrorIs(t, clientErr, AlertBadRecordMAC)
}

func TestSignerThatFails(t *testing.T) {
	broken := errors.New("the token is gone")
	for _, c := range []struct {
		name      string
		sign      func([]byte, crypto.SignerOpts) ([]byte, error)
		serverErr string
		is        error
	}{
		{
			"error",
			func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, broken },
			"gnutls: handshake: signing with the private key: the token is gone", broken,
		},
		{
			"nothing",
			func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, nil },
			"gnutls: handshake: signing with the private key: empty result", CodeSignFailed,
		},
		{
			"panic",
			func([]byte, crypto.SignerOpts) ([]byte, error) { panic("no such slot") },
			"gnutls: handshake: signing with the private key: panic in a callback: no such slot",
			CodeSignFailed,
		},
	} {
		for _, version := range []uint16{VersionTLS12, VersionTLS13} {
			t.Run(c.name+"/"+VersionName(version), func(t *testing.T) {
				server, _ := signerConfig(t, c.sign)
				client := clientConfig(t)
				client.MaxVersion = version
				_, s, clientErr, serverErr := shake(t, client, server)
				require.EqualError(t, serverErr, c.serverErr)
				assert.ErrorIs(t, serverErr, c.is)
				assert.ErrorIs(t, serverErr, CodeSignFailed)
				assert.ErrorIs(t, clientErr, AlertInternalError)
				assert.Equal(t, serverErr, s.Handshake(), "the error stays")
				var panicError *PanicError
				if errors.As(serverErr, &panicError) {
					assert.Equal(t, "no such slot", panicError.Value)
					assert.Contains(t, string(panicError.Stack), "certificate_test.go")
				}
				assert.Equal(t, c.name == "panic", panicError != nil)
			})
		}
	}
}

func TestSignerThatReturnsGarbage(t *testing.T) {
	signature, err := testCertificate(t, "server").PrivateKey.(crypto.Signer).Sign(rand.Reader,
		make([]byte, 32), crypto.SHA256)
	require.NoError(t, err)
	for _, c := range []struct {
		name                 string
		garbage              []byte
		clientErr, serverErr error
	}{
		// GNUTLS_E_PK_SIG_VERIFY_FAILED
		{"random bytes", bytes.Repeat([]byte{0x5a}, 70), ErrorCode(-89), AlertDecryptError},
		{"signature of something else", signature, ErrorCode(-89), AlertDecryptError},
		// GNUTLS_E_HANDSHAKE_TOO_LARGE
		{"a megabyte", make([]byte, 1<<20), AlertDecodeError, ErrorCode(-210)},
	} {
		for _, version := range []uint16{VersionTLS12, VersionTLS13} {
			t.Run(c.name+"/"+VersionName(version), func(t *testing.T) {
				server, _ := signerConfig(t,
					func([]byte, crypto.SignerOpts) ([]byte, error) { return c.garbage, nil })
				client := clientConfig(t)
				client.MaxVersion = version
				_, _, clientErr, serverErr := shake(t, client, server)
				assert.ErrorIs(t, clientErr, c.clientErr)
				assert.ErrorIs(t, serverErr, c.serverErr)
			})
		}
	}
}

func TestSignerThatFailsOnAClient(t *testing.T) {
	broken := errors.New("the card was pulled")
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		for name, sign := range map[string]func([]byte, crypto.SignerOpts) ([]byte, error){
			"error": func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, broken },
			"panic": func([]byte, crypto.SignerOpts) ([]byte, error) { panic(broken) },
		} {
			t.Run(VersionName(version)+"/"+name, func(t *testing.T) {
				client := clientConfig(t)
				client.MaxVersion = version
				cert := testCertificate(t, "client")
				cert.PrivateKey = &testSigner{Signer: cert.PrivateKey.(crypto.Signer), sign: sign}
				client.Certificates = []Certificate{cert}
				server := serverConfig(t)
				server.ClientAuth, server.ClientCAs = RequireAndVerifyClientCert, testPool(t, "ca.pem")
				_, _, clientErr, serverErr := shake(t, client, server)
				require.ErrorIs(t, clientErr, CodeSignFailed)
				assert.ErrorContains(t, clientErr, "the card was pulled")
				assert.ErrorIs(t, serverErr, AlertInternalError)
			})
		}
	}
}

// TestSlowSigner: while a private key takes its time nothing else waits for it,
// and the handshake ends when it is back.
func TestSlowSigner(t *testing.T) {
	type handshake struct {
		client, server net.Conn // transport
		s              *Conn
		cancel         context.CancelFunc
	}
	for _, c := range []struct {
		name string
		end  func(h handshake)
		is   error // nil: any, as the system decides
	}{
		{"the peer goes away", func(h handshake) { h.client.Close() }, nil},
		{"the context ends", func(h handshake) { h.cancel() }, context.Canceled},
		{"the connection closes", func(h handshake) { h.s.Close() }, net.ErrClosed},
		{"the transport closes", func(h handshake) { h.server.Close() }, net.ErrClosed},
		{"the deadline passes", func(h handshake) { h.s.SetDeadline(time.Now().Add(-time.Hour)) },
			os.ErrDeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, answer := make(chan struct{}), make(chan struct{})
			key := testCertificate(t, "server").PrivateKey.(crypto.Signer)
			config, _ := signerConfig(t, func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				close(asked)
				<-answer
				return key.Sign(rand.Reader, digest, opts)
			})
			cc, sc := tcpPipe(t)
			client, server := Client(cc, clientConfig(t)), Server(sc, config)
			defer client.Close()
			defer server.Close()
			ctx, cancel := context.WithCancel(waitContext(t))
			defer cancel()
			clientDone, serverDone := make(chan error, 1), make(chan error, 1)
			go func() { clientDone <- client.HandshakeContext(waitContext(t)) }()
			go func() { serverDone <- server.HandshakeContext(ctx) }()
			<-asked
			assert.False(t, server.ConnectionState().HandshakeComplete)
			c.end(handshake{cc, sc, server, cancel})
			close(answer)
			err := <-serverDone
			require.Error(t, err)
			assert.NotErrorIs(t, err, context.DeadlineExceeded)
			if c.is != nil {
				assert.ErrorIs(t, err, c.is)
			}
			if c.is == os.ErrDeadlineExceeded {
				require.NoError(t, server.SetDeadline(time.Time{}))
				require.NoError(t, server.HandshakeContext(waitContext(t)), "the handshake goes on")
				require.NoError(t, <-clientDone)
				return
			}
			server.Close()
			require.Error(t, firstError(client, <-clientDone))
		})
	}
}

// oddSigner has a public key of a type that nobody knows.
type oddSigner struct{ crypto.Signer }

func (oddSigner) Public() crypto.PublicKey { return "odd" }

func TestPrivateKeysThatAreNotSupported(t *testing.T) {
	cert := testCertificate(t, "server")
	ecdhKey, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	p224 := ecdsaKey(t, elliptic.P224())
	for _, c := range []struct {
		name string
		cert Certificate
		says string
		is   error
	}{
		{"none", Certificate{Certificate: cert.Certificate},
			"its private key (a <nil>) is not a crypto.Signer", nil},
		{"no key at all", Certificate{Certificate: cert.Certificate, PrivateKey: "a string"},
			"its private key (a string) is not a crypto.Signer", nil},
		{"key exchange only", Certificate{Certificate: cert.Certificate, PrivateKey: ecdhKey},
			"its private key (a *ecdh.PrivateKey) is not a crypto.Signer", nil},
		{"unknown public key",
			Certificate{Certificate: cert.Certificate,
				PrivateKey: oddSigner{cert.PrivateKey.(crypto.Signer)}},
			"the private key does not belong to the certificate", CodeKeyMismatch},
		{"of another certificate", Certificate{Certificate: cert.Certificate, PrivateKey: p224},
			"the private key does not belong to the certificate", CodeKeyMismatch},
		{"no certificate", Certificate{PrivateKey: cert.PrivateKey}, "it holds no certificate", nil},
		{"certificate that is none",
			Certificate{Certificate: [][]byte{[]byte("none")}, PrivateKey: cert.PrivateKey}, "x509: ", nil},
		{"second certificate that is none",
			Certificate{Certificate: [][]byte{cert.Certificate[0], []byte("none")},
				PrivateKey: cert.PrivateKey}, "ASN1", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Listen("tcp", "127.0.0.1:0", &Config{Certificates: []Certificate{cert, c.cert}})
			require.ErrorContains(t, err, "gnutls: certificate 2 of the configuration: ")
			assert.ErrorContains(t, err, c.says)
			if c.is != nil {
				assert.ErrorIs(t, err, c.is)
			}
			client := clientConfig(t)
			client.Certificates = []Certificate{c.cert}
			cc, _ := tcpPipe(t)
			conn := Client(cc, client)
			defer conn.Close()
			assert.ErrorContains(t, conn.HandshakeContext(waitContext(t)), c.says)
		})
	}
}

func TestChainWithACertificateTooMany(t *testing.T) {
	cert := testCertificate(t, "server-chain")
	stranger := testCertificate(t, "other-ca").Certificate[0]
	cert.Certificate = [][]byte{cert.Certificate[0], stranger, cert.Certificate[1]}
	c, s := connect(t, clientConfig(t), &Config{Certificates: []Certificate{cert}})
	echo(t, c, s)
	require.Len(t, c.ConnectionState().VerifiedChains, 1)
	assert.Len(t, c.ConnectionState().VerifiedChains[0], 3)
}
