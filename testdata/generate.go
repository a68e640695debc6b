//go:build ignore

// Generate writes the certificates, keys and other files the tests use into
// testdata. It needs openssl 3 for the encrypted forms and the OCSP responses.
//
// Run it from the root of the repository:
//
//	go run testdata/generate.go
//
// Names, serial numbers and dates stay the same from run to run, keys do not.
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	dir      = "testdata"
	password = "gnucoap"

	certMode = 0o644
	keyMode  = 0o600
)

var (
	validFrom = year(2020)
	validTo   = year(2120)
	revokedAt = time.Date(2020, 6, 1, 0, 0, 0, 0, time.UTC)

	lastSerial int64
)

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func main() {
	log.SetFlags(0)
	if _, err := os.Stat(file("generate.go")); err != nil {
		log.Fatal("run this from the root of the repository: ", err)
	}

	ca := issue("ca", authority("gnucoap test root CA"), ecKey(), nil)
	otherCA := issue("other-ca", authority("gnucoap test other CA"), ecKey(), nil)
	t := authority("gnucoap test intermediate CA")
	t.MaxPathLenZero = true
	intermediate := issue("intermediate", t, ecKey(), ca)

	server := issue("server",
		serverLeaf("server", "localhost", "example.test", "*.wild.test", "127.0.0.1", "::1"), ecKey(), ca)
	serverForms(server)

	serverRSA := issue("server-rsa",
		serverLeaf("server-rsa", "localhost", "rsa.test", "127.0.0.1", "::1"), rsaKey(2048), ca)
	rsaForms(serverRSA)

	issue("server-ed25519",
		serverLeaf("server-ed25519", "localhost", "ed25519.test", "127.0.0.1", "::1"), edKey(), ca)

	chain := issue("server-chain",
		serverLeaf("server-chain", "localhost", "chain.test", "127.0.0.1", "::1"), ecKey(), intermediate)
	write("server-chain.pem", append(certPEM(chain), certPEM(intermediate)...), certMode)

	issue("alpha", serverLeaf("alpha", "alpha.test"), ecKey(), ca)
	issue("beta", serverLeaf("beta", "beta.test"), ecKey(), ca)

	// Certificates a client must refuse.
	issue("wronghost", serverLeaf("wronghost", "elsewhere.test"), ecKey(), ca)
	t = serverLeaf("expired", "localhost", "127.0.0.1", "::1")
	t.NotAfter = year(2021)
	issue("expired", t, ecKey(), ca)
	t = serverLeaf("notyet", "localhost", "127.0.0.1", "::1")
	t.NotBefore = year(2110)
	issue("notyet", t, ecKey(), ca)
	issue("selfsigned", serverLeaf("selfsigned", "localhost", "127.0.0.1", "::1"), ecKey(), nil)
	issue("clientonly", clientLeaf("gnucoap test clientonly", "localhost", "127.0.0.1"), ecKey(), ca)
	revoked := issue("revoked", serverLeaf("revoked", "localhost", "127.0.0.1", "::1"), ecKey(), ca)
	revocationList("ca.crl.pem", ca, revoked)
	issue("weak", serverLeaf("weak", "localhost", "127.0.0.1", "::1"), rsaKey(1024), ca)

	issue("client", clientLeaf("client one"), ecKey(), ca)
	issue("client-other", clientLeaf("client other"), ecKey(), otherCA)

	// GnuTLS 3.7.1 takes no response that the authority itself has signed.
	issue("ocsp", leaf("gnucoap test OCSP", x509.ExtKeyUsageOCSPSigning, nil), ecKey(), ca)
	ocspResponse("ocsp-good.der", server, false)
	ocspResponse("ocsp-revoked.der", server, true)

	write("broken.pem", brokenPEM(server), certMode)
	write("notacert.pem", pemBlock("MESSAGE", []byte("neither a certificate nor a key\n")), certMode)
	write("psk.txt",
		[]byte(
			"client1:9e32cf7786321a828ef7668f09fb35db\nclient2:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"), keyMode)
}

// authority returns the template of a CA.
func authority(cn string) *x509.Certificate {
	t := template(cn)
	t.BasicConstraintsValid = true
	t.IsCA = true
	// The digital signature is for OCSP responses.
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	return t
}

// serverLeaf returns the template of a server certificate for the given DNS
// names and IP addresses.
func serverLeaf(name string, sans ...string) *x509.Certificate {
	return leaf("gnucoap test "+name, x509.ExtKeyUsageServerAuth, sans)
}

// clientLeaf is like serverLeaf for a client certificate.
func clientLeaf(cn string, sans ...string) *x509.Certificate {
	return leaf(cn, x509.ExtKeyUsageClientAuth, sans)
}

func leaf(cn string, usage x509.ExtKeyUsage, sans []string) *x509.Certificate {
	t := template(cn)
	t.BasicConstraintsValid = true
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	for _, san := range sans {
		if ip := net.ParseIP(san); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, san)
		}
	}
	return t
}

func template(cn string) *x509.Certificate {
	lastSerial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(lastSerial),
		Subject:      pkix.Name{CommonName: cn},
		NotBefore:    validFrom,
		NotAfter:     validTo,
	}
}

// issue signs the certificate, or self-signs it if issuer is nil, and writes
// name.pem and name.key.
func issue(name string, t *x509.Certificate, key crypto.Signer, issuer *pair) *pair {
	if _, ok := key.(*rsa.PrivateKey); ok {
		t.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	if issuer == nil {
		issuer = &pair{t, key}
	}
	der := must(x509.CreateCertificate(rand.Reader, t, issuer.cert, key.Public(), issuer.key))
	p := &pair{must(x509.ParseCertificate(der)), key}
	write(name+".pem", certPEM(p), certMode)
	write(name+".key", pemBlock("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))), keyMode)
	return p
}

// serverForms writes server.pem and server.key in their other forms.
func serverForms(server *pair) {
	write("server.der", server.cert.Raw, certMode)
	write("server.key.der", must(x509.MarshalPKCS8PrivateKey(server.key)), keyMode)
	write("server.ec.key", pemBlock("EC PRIVATE KEY",
		must(x509.MarshalECPrivateKey(server.key.(*ecdsa.PrivateKey)))), keyMode)

	encrypt := []string{"pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:" + password, "-in",
		file("server.key")}
	write("server.enc.key", must(openssl(encrypt...)), keyMode)
	write("server.enc.key.der", must(openssl(append(encrypt, "-outform", "DER")...)), keyMode)

	export := []string{"pkcs12", "-export", "-name", "server", "-passout", "pass:" + password,
		"-inkey", file("server.key"), "-in", file("server.pem"), "-certfile", file("ca.pem")}
	write("server.p12",
		must(openssl(append(export, "-keypbe", "AES-256-CBC", "-certpbe", "AES-256-CBC", "-macalg",
			"sha256")...)), keyMode)

	// Not every openssl has the legacy provider. A file left from an earlier
	// run would not match the new key.
	legacy, err := openssl(append(export, "-legacy")...)
	if err != nil {
		log.Print("server-legacy.p12 skipped: ", err)
		os.Remove(file("server-legacy.p12"))
		return
	}
	write("server-legacy.p12", legacy, keyMode)
}

// rsaForms writes server-rsa.key in its other forms.
func rsaForms(server *pair) {
	write("server-rsa.pkcs1.key",
		pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(server.key.(*rsa.PrivateKey))), keyMode)
	write("server-rsa.pkcs1.enc.key",
		must(openssl("rsa", "-traditional", "-aes-128-cbc", "-passout", "pass:"+password,
			"-in", file("server-rsa.key"))), keyMode)
}

// revocationList writes a CRL with one revoked certificate.
func revocationList(name string, issuer, revoked *pair) {
	der := must(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number:     big.NewInt(1),
		ThisUpdate: validFrom,
		NextUpdate: validTo,
		RevokedCertificateEntries: []x509.RevocationListEntry{
			{SerialNumber: revoked.cert.SerialNumber, RevocationTime: revokedAt},
		},
	}, issuer.cert, issuer.key))
	write(name, pemBlock("X509 CRL", der), certMode)
}

// ocspResponse writes a response about server.pem, signed by ocsp. It is valid
// from now, as openssl cannot date it back.
func ocspResponse(name string, server *pair, revoked bool) {
	tmp := must(os.MkdirTemp("", "ocsp"))
	defer os.RemoveAll(tmp)

	// A line of the index: status, expiry, revocation, serial, file, subject.
	// The revocation date must have a year of two digits.
	status, revocation := "V", ""
	if revoked {
		status, revocation = "R", revokedAt.Format("060102150405Z")
	}
	line := fmt.Sprintf("%s\t%s\t%s\t%02X\tunknown\t/CN=%s\n", status,
		server.cert.NotAfter.Format("20060102150405Z"),
		revocation, server.cert.SerialNumber, server.cert.Subject.CommonName)
	index := filepath.Join(tmp, "index.txt")
	check(os.WriteFile(index, []byte(line), 0o600))

	response := filepath.Join(tmp, "response.der")
	days := int(time.Until(validTo)/(24*time.Hour)) + 1
	must(openssl("ocsp", "-index", index, "-CA", file("ca.pem"), "-rsigner", file("ocsp.pem"), "-rkey",
		file("ocsp.key"),
		"-issuer", file("ca.pem"), "-cert", file("server.pem"), "-CAfile", file("ca.pem"), "-no_nonce",
		"-rmd", "sha256", "-ndays", fmt.Sprint(days), "-respout", response))
	write(name, must(os.ReadFile(response)), certMode)
}

// brokenPEM returns a certificate with damaged base64 in its second line.
func brokenPEM(p *pair) []byte {
	lines := bytes.SplitAfter(certPEM(p), []byte("\n"))
	copy(lines[2][10:], "!!!*!!!")
	return bytes.Join(lines, nil)
}

func ecKey() crypto.Signer {
	return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

func rsaKey(bits int) crypto.Signer {
	return must(rsa.GenerateKey(rand.Reader, bits))
}

func edKey() crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	return key
}

func certPEM(p *pair) []byte {
	return pemBlock("CERTIFICATE", p.cert.Raw)
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// openssl runs the command and returns its standard output.
func openssl(args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.Command("openssl", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("openssl %s: %w\n%s", args[0], err, stderr.Bytes())
	}
	return out, nil
}

func file(name string) string {
	return filepath.Join(dir, name)
}

// write sets the mode of a file that was there before as well.
func write(name string, data []byte, mode os.FileMode) {
	check(os.WriteFile(file(name), data, mode))
	check(os.Chmod(file(name), mode))
}

func year(y int) time.Time {
	return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC)
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

// check panics and does not exit, so that deferred calls clean up.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
