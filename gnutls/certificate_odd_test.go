package gnutls

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

// reissue changes the signed part of a certificate of the test CA and signs it again.
func reissue(t testing.TB, der []byte, change func(tbs []byte) []byte) []byte {
	t.Helper()
	var cert struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}
	_, err := asn1.Unmarshal(der, &cert)
	require.NoError(t, err)
	tbs := change(bytes.Clone(cert.TBS.FullBytes))
	_, key := authority(t, "ca")
	hash := sha256.Sum256(tbs)
	signature, err := key.Sign(rand.Reader, hash[:], crypto.SHA256)
	require.NoError(t, err)
	cert.TBS = asn1.RawValue{FullBytes: tbs}
	cert.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	der, err = asn1.Marshal(cert)
	require.NoError(t, err)
	return der
}

// negativeSerial makes a certificate that crypto/x509 cannot parse and GnuTLS can.
func negativeSerial(t testing.TB, key crypto.Signer) Certificate {
	t.Helper()
	cert := issue(t, key, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(0x55) })
	serial := []byte{0x02, 0x01, 0x55}
	der := reissue(t, cert.Certificate[0], func(tbs []byte) []byte {
		require.Equal(t, 1, bytes.Count(tbs, serial))
		return bytes.Replace(tbs, serial, []byte{0x02, 0x01, 0xd5}, 1)
	})
	_, err := x509.ParseCertificate(der)
	require.ErrorContains(t, err, "negative serial number")
	return Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func keyPEM(t testing.TB, key any) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func certPEM(ders ...[]byte) (data []byte) {
	for _, der := range ders {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return data
}

// TestCertificateThatOnlyGnuTLSReads is of a server, of a client, of a server with
// several names, and of an authority.
func TestCertificateThatOnlyGnuTLSReads(t *testing.T) {
	key := ecdsaKey(t, elliptic.P256())
	odd := negativeSerial(t, key)
	cert, err := X509KeyPair(certPEM(odd.Certificate[0]), keyPEM(t, key))
	require.NoError(t, err)
	require.NotNil(t, cert.Leaf)
	assert.Equal(t, odd.Certificate[0], cert.Leaf.Raw)
	assert.Equal(t, big.NewInt(-43), cert.Leaf.SerialNumber)
	assert.Equal(t, "issued by a test", cert.Leaf.Subject.CommonName)
	assert.Equal(t, []string{"localhost"}, cert.Leaf.DNSNames)
	assert.True(t, key.PublicKey.Equal(cert.Leaf.PublicKey))
	assert.WithinDuration(t, time.Now().Add(time.Hour), cert.Leaf.NotAfter, time.Minute)
	_, err = X509KeyPair(certPEM(odd.Certificate[0]), keyPEM(t, ecdsaKey(t, elliptic.P256())))
	require.ErrorIs(t, err, CodeKeyMismatch)

	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		client := clientConfig(t)
		client.MaxVersion, client.Certificates = version, []Certificate{cert}
		client.ClientSessionCache = NewClientSessionCache(0)
		server := &Config{
			Certificates: []Certificate{testCertificate(t, "alpha"), cert},
			ClientAuth:   RequireAndVerifyClientCert, ClientCAs: testPool(t, "ca.pem"),
		}
		c, s := connect(t, client, server)
		echo(t, c, s)
		for _, conn := range []*Conn{c, s} {
			cs := conn.ConnectionState()
			require.Len(t, cs.PeerCertificates, 1)
			assert.Equal(t, odd.Certificate[0], cs.PeerCertificates[0].Raw)
			require.Len(t, cs.VerifiedChains, 1)
			assert.Equal(t, odd.Certificate[0], cs.VerifiedChains[0][0].Raw)
		}
	}

	// A verification that fails still tells on which certificate.
	client := clientConfig(t)
	client.ServerName = "elsewhere.test"
	_, _, clientErr, _ := shake(t, client, &Config{Certificates: []Certificate{cert}})
	var ce *CertificateError
	require.ErrorAs(t, clientErr, &ce)
	assert.True(t, ce.Status.Has(CertificateWrongName))
	assert.Equal(t, odd.Certificate[0], ce.Certificate.Raw)
	assert.ErrorContains(t, clientErr, "it is for localhost")
}

// TestKeysThatOnlyGnuTLSKnows are for RSA-PSS alone, and of Ed448.
func TestKeysThatOnlyGnuTLSKnows(t *testing.T) {
	for name, args := range map[string][]string{
		"RSA-PSS": {"rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"},
		"Ed448":   {"ed448"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
			made := testenv.Start(t, "openssl",
				slices.Concat([]string{"req", "-x509", "-newkey"}, args, []string{
					"-nodes", "-keyout", keyFile, "-out", certFile, "-days", "2", "-subj", "/CN=odd", "-addext",
					"subjectAltName=DNS:localhost"})...)
			require.Zero(t, made.Wait(t), made.Output())
			cert, err := LoadX509KeyPair(certFile, keyFile)
			require.NoError(t, err)
			data, err := os.ReadFile(certFile)
			require.NoError(t, err)
			_, err = X509KeyPair(data, testenv.Read(t, "server.key"))
			require.ErrorIs(t, err, CodeKeyMismatch)
			_, err = X509KeyPair(testenv.Read(t, "server.pem"),
				func() []byte { b, err := os.ReadFile(keyFile); require.NoError(t, err); return b }())
			require.ErrorIs(t, err, CodeKeyMismatch)
			pool := NewCertPool()
			require.NoError(t, pool.AppendCertsFromPEM(data))
			for _, version := range []uint16{VersionTLS12, VersionTLS13} {
				c, s := connect(t,
					&Config{RootCAs: pool, ServerName: "localhost", Certificates: []Certificate{cert},
						MaxVersion: version},
					&Config{Certificates: []Certificate{cert}, ClientAuth: RequireAndVerifyClientCert,
						ClientCAs: pool})
				echo(t, c, s)
				assert.Equal(t, cert.Certificate[0], c.ConnectionState().PeerCertificates[0].Raw)
				assert.Equal(t, cert.Certificate[0], s.ConnectionState().PeerCertificates[0].Raw)
			}
		})
	}
}

func TestBundleWithBadCertificates(t *testing.T) {
	ca := testenv.Read(t, "ca.pem")
	odd := negativeSerial(t, ecdsaKey(t, elliptic.P256()))
	data := slices.Concat(
		certPEM([]byte("no certificate")), certPEM(odd.Certificate[0]), testenv.Read(t,
			"broken.pem"), testenv.Read(t, "ca.key"), ca, ca[:200])
	pool := NewCertPool()
	err := pool.AppendCertsFromPEM(data)
	var skipped *SkippedCertsError
	require.ErrorAs(t, err, &skipped)
	assert.Equal(t, 2, skipped.Added)
	assert.Len(t, skipped.Skipped, 3)
	assert.ErrorContains(t, err,
		"gnutls: 2 certificates were added to the pool, and left out number 1 (x509: ")
	assert.ErrorContains(t, err, ", number 3 (damaged PEM), number 5 (damaged PEM)")
	c, s := connect(t, &Config{RootCAs: pool, ServerName: "localhost"}, serverConfig(t))
	echo(t, c, s)

	pool = NewCertPool()
	err = pool.AppendCertsFromPEM(certPEM([]byte("no certificate")))
	require.ErrorContains(t, err, "certificate 1: ")
	assert.NotErrorAs(t, err, &skipped)
}

func TestInsecureSkipVerifyTakesAnyKeyUsage(t *testing.T) {
	rsaKey := keyKinds(t)["RSA"]
	for name, key := range map[string]crypto.Signer{"RSA": rsaKey,
		"ECDSA": ecdsaKey(t, elliptic.P256())} {
		cert := issue(t, key, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
		for _, version := range []uint16{VersionTLS12, VersionTLS13} {
			for _, skip := range []bool{true, false} {
				client := clientConfig(t)
				client.InsecureSkipVerify = skip
				c, _, clientErr, _ := shakeCryptoServer(t, client, &tls.Config{
					Certificates: []tls.Certificate{cryptoCertificate(cert)}, MaxVersion: version,
				})
				if !skip {
					assert.Error(t, clientErr, name)
					continue
				}
				require.NoError(t, clientErr, name)
				assert.Equal(t, version, c.ConnectionState().Version)
			}
		}
	}
}

func TestErrorOfExpiredAuthorityNamesIt(t *testing.T) {
	key := ecdsaKey(t, elliptic.P256())
	leafKey := ecdsaKey(t, elliptic.P256())
	made := func(subject, issuer string, notBefore, notAfter time.Time, ca bool,
		pub *ecdsa.PrivateKey) []byte {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: subject}, NotBefore: notBefore,
			NotAfter: notAfter,
			IsCA:     ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		}
		if ca {
			template.KeyUsage |= x509.KeyUsageCertSign
		} else {
			template.DNSNames = []string{"localhost"}
		}
		der, err := x509.CreateCertificate(rand.Reader, template,
			&x509.Certificate{Subject: pkix.Name{CommonName: issuer}}, pub.Public(), key)
		require.NoError(t, err)
		return der
	}
	now := time.Now()
	past, future := now.Add(-48*time.Hour), now.Add(48*time.Hour)
	date := func(t time.Time) string { return t.UTC().Format("2006-01-02") }
	leaf := made("leaf", "the authority", past, future, false, leafKey)
	for name, c := range map[string]struct {
		ca     []byte
		status CertificateStatus
		says   string
		alert  Alert
	}{
		"expired": {made("the authority", "the authority", past, now.Add(-24*time.Hour), true, key),
			CertificateExpired, "(on " + date(now.Add(-24*time.Hour)) + ")", AlertCertificateExpired},
		"not yet valid": {made("the authority", "the authority", now.Add(24*time.Hour), future, true,
			key), CertificateNotYetValid, "(before " + date(now.Add(24*time.Hour)) +
			")", AlertCertificateExpired},
	} {
		t.Run(name, func(t *testing.T) {
			pool := NewCertPool()
			require.NoError(t, pool.AppendCertsFromPEM(certPEM(c.ca)))
			_, _, clientErr, serverErr := shake(t, &Config{RootCAs: pool, ServerName: "localhost"},
				&Config{Certificates: []Certificate{{Certificate: [][]byte{leaf}, PrivateKey: leafKey}}})
			var ce *CertificateError
			require.ErrorAs(t, clientErr, &ce)
			assert.True(t, ce.Status.Has(c.status))
			assert.Equal(t, "the authority", ce.Certificate.Subject.CommonName)
			assert.Equal(t, -1, ce.Index)
			assert.ErrorContains(t, clientErr, `certificate of "CN=the authority"`)
			assert.ErrorContains(t, clientErr, c.says)
			assert.ErrorIs(t, serverErr, c.alert)
		})
	}
}

func TestRevocationListThatEndsInUse(t *testing.T) {
	for _, accept := range []bool{false, true} {
		pool := testPool(t, "ca.pem")
		require.NoError(t, pool.AppendRevocationsFromPEM(testenv.Read(t, "ca.crl.pem")))
		if accept {
			pool.AcceptOldRevocations()
		}
		var logged logBuffer
		server := serverConfig(t)
		server.ClientAuth, server.ClientCAs, server.Logger = RequireAndVerifyClientCert, pool,
			logged.logger()
		client := clientConfig(t)
		client.Certificates = []Certificate{testCertificate(t, "client")}
		connect(t, client, server)
		assert.NotContains(t, logged.String(), "revocation list")

		pool.mu.Lock()
		pool.crls[0].ends = time.Now().Add(-time.Minute)
		pool.mu.Unlock()
		silent := server.Clone()
		silent.Logger = nil
		for _, config := range []*Config{silent, server, server} {
			_, _, _, serverErr := shake(t, client, config)
			if accept {
				require.NoError(t, serverErr)
				continue
			}
			var ce *CertificateError
			require.ErrorAs(t, serverErr, &ce)
			assert.True(t, ce.Status.Has(CertificateOldRevocationData))
			assert.Equal(t, "client one", ce.Certificate.Subject.CommonName)
			assert.ErrorContains(t, serverErr, "ended on ")
		}
		assert.Equal(t,
			1, bytes.Count([]byte(logged.String()), []byte("a revocation list is past its next update")))

		// A newer list of the same issuer is enough.
		require.NoError(t, pool.AppendRevocationsFromPEM(testenv.Read(t, "ca.crl.pem")))
		connect(t, client, server)
	}
}

// TestFiniteFieldKeyExchange has servers that make it in the groups of RFC 7919, also
// for clients that name none of them.
func TestFiniteFieldKeyExchange(t *testing.T) {
	pskClient, psk := pskConfigs(VersionTLS12)
	rsaServer := &Config{Certificates: []Certificate{testCertificate(t, "server-rsa")}}
	for _, groups := range []string{"",
		":-GROUP-FFDHE2048:-GROUP-FFDHE3072:-GROUP-FFDHE4096:-GROUP-FFDHE6144:-GROUP-FFDHE8192"} {
		c, s := connect(t, &Config{
			RootCAs: testPool(t, "ca.pem"), ServerName: "localhost",
			Priority: "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+DHE-RSA" + groups,
		}, rsaServer)
		echo(t, c, s)
		assert.Contains(t, c.ConnectionState().CipherSuiteName, "DHE_RSA")
		pskClient = pskClient.Clone()
		pskClient.Priority = "NORMAL:-KX-ALL:+DHE-PSK" + groups
		c, s = connect(t, pskClient, psk)
		echo(t, c, s)
		assert.Contains(t, c.ConnectionState().CipherSuiteName, "DHE_PSK")
	}
}

// TestOddCertificates are of kinds that public bug reports tell of: each is taken or refused, with
// the reason.
func TestOddCertificates(t *testing.T) {
	key, caKey := ecdsaKey(t, elliptic.P256()), ecdsaKey(t, elliptic.P256())
	oddString := func(tag byte, value string) func(*x509.Certificate) { // in the subject
		return func(c *x509.Certificate) {
			b := append([]byte{tag, byte(len(value))}, value...)
			c.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
				{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: asn1.RawValue{FullBytes: b}}}}
		}
	}
	extension := func(id int, critical bool) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, id}, Critical: critical,
				Value: []byte{5, 0}}}
		}
	}
	for name, c := range map[string]struct {
		leaf, ca func(*x509.Certificate) // ca: between the leaf and the authority
		status   CertificateStatus
	}{
		"serial number of 20 bytes": {leaf: func(c *x509.Certificate) {
			c.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 158)
		}},
		"no subject":                  {leaf: func(c *x509.Certificate) { c.Subject = pkix.Name{} }},
		"T61String":                   {leaf: oddString(20, "caf\xe9")},
		"BMPString":                   {leaf: oddString(30, "\x00a\x00b")},
		"UniversalString":             {leaf: oddString(28, "\x00\x00\x00a")},
		"PrintableString with others": {leaf: oddString(19, "a*b@c")},
		"UTF8String that is none":     {leaf: oddString(12, "caf\xe9")},
		"unknown extension":           {leaf: extension(4, false)},
		"critical unknown extension":  {leaf: extension(5, true), status: CertificateCriticalExtension},
		"for clients alone": {leaf: func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, status: CertificateWrongPurpose},
		"for anything": {leaf: func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
		}},
		"no purpose": {leaf: func(c *x509.Certificate) { c.ExtKeyUsage = nil }},
		"the end of time": {leaf: func(c *x509.Certificate) {
			c.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		}},
		"intermediate": {ca: func(c *x509.Certificate) {}},
		"expired intermediate": {ca: func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(-time.Minute)
		}, status: CertificateExpired},
		"intermediate to come": {ca: func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(time.Minute)
		}, status: CertificateNotYetValid},
		"intermediate that is none": {ca: func(c *x509.Certificate) { c.IsCA = false },
			status: CertificateSignerNotAuthority},
		"intermediate that may not": {ca: func(c *x509.Certificate) {
			c.KeyUsage = x509.KeyUsageCRLSign
		}, status: CertificateConstraint},
		"permitted name": {ca: func(c *x509.Certificate) {
			c.PermittedDNSDomains = []string{"localhost"}
		}},
		"name that is not permitted": {ca: func(c *x509.Certificate) {
			c.PermittedDNSDomains = []string{"example.org"}
		}, status: CertificateConstraint},
		"excluded name": {ca: func(c *x509.Certificate) {
			c.ExcludedDNSDomains = []string{"localhost"}
		}, status: CertificateConstraint},
		"intermediate of other purpose": {ca: func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, status: CertificateWrongPurpose},
	} {
		t.Run(name, func(t *testing.T) {
			cert := Certificate{Certificate: [][]byte{issueDER(t, key, c.leaf)}, PrivateKey: key}
			if c.ca != nil {
				ca := issue(t, caKey, func(template *x509.Certificate) {
					template.Subject.CommonName, template.DNSNames, template.ExtKeyUsage = "between", nil, nil
					template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true,
						x509.KeyUsageCertSign
					c.ca(template)
				})
				leaf := *issue(t, key, nil).Leaf
				leaf.SerialNumber = big.NewInt(7)
				der, err := x509.CreateCertificate(rand.Reader, &leaf, ca.Leaf, key.Public(), caKey)
				require.NoError(t, err)
				cert = Certificate{Certificate: [][]byte{der, ca.Certificate[0]}, PrivateKey: key}
			}
			_, _, clientErr, _ := shake(t, clientConfig(t), &Config{Certificates: []Certificate{cert}})
			if c.status == 0 {
				assert.NoError(t, clientErr)
				return
			}
			var ce *CertificateError
			require.ErrorAs(t, clientErr, &ce)
			assert.True(t, ce.Status.Has(c.status), "%v", ce.Status)
		})
	}
}
