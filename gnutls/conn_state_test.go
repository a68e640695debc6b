package gnutls

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// sameState checks that our end of a connection tells of it what the other
// end, of crypto/tls, does.
func sameState(t *testing.T, ours ConnectionState, theirs tls.ConnectionState) {
	t.Helper()
	assert.True(t, ours.HandshakeComplete)
	assert.True(t, theirs.HandshakeComplete)
	assert.Equal(t, theirs.Version, ours.Version)
	assert.Equal(t, tls.VersionName(theirs.Version), VersionName(ours.Version))
	assert.Equal(t, theirs.CipherSuite, ours.CipherSuite)
	// crypto/tls says WITH in the names of TLS 1.2, GnuTLS does not.
	assert.Equal(t, strings.Replace(tls.CipherSuiteName(theirs.CipherSuite), "_WITH_", "_", 1),
		ours.CipherSuiteName)
	assert.Equal(t, theirs.DidResume, ours.DidResume)
	assert.Equal(t, theirs.NegotiatedProtocol, ours.NegotiatedProtocol)
	assert.Equal(t, theirs.ServerName, ours.ServerName)
}

// groups are those that crypto/tls and GnuTLS share, by the name of GnuTLS.
var groups = map[string]tls.CurveID{"SECP256R1": tls.CurveP256, "SECP384R1": tls.CurveP384,
	"SECP521R1": tls.CurveP521, "X25519": tls.X25519}

func raw(certs []*x509.Certificate) (list [][]byte) {
	for _, cert := range certs {
		list = append(list, cert.Raw)
	}
	return list
}

func sameKeyingMaterial(t *testing.T, ours *Conn, theirs tls.ConnectionState) {
	t.Helper()
	exported := map[string]string{}
	for name, context := range map[string][]byte{"nil": nil, "empty": {}, "some": []byte("context")} {
		for _, length := range []int{1, 32, 300} {
			want, err := theirs.ExportKeyingMaterial("EXPERIMENTAL test", context, length)
			require.NoError(t, err)
			got, err := ours.ExportKeyingMaterial("EXPERIMENTAL test", context, length)
			require.NoError(t, err)
			assert.Equal(t, want, got, "%s, %d", name, length)
			exported[name] = string(got)
		}
	}
	assert.Equal(t, theirs.Version == VersionTLS12, exported["nil"] != exported["empty"])
	assert.NotEqual(t, exported["nil"], exported["some"])

	want, err := theirs.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if theirs.Version == VersionTLS12 {
		// RFC 9266 section 2
		want, err = theirs.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
	}
	require.NoError(t, err)
	binding, err := ours.ChannelBinding(BindingExporter)
	require.NoError(t, err)
	assert.Equal(t, want, binding)

	binding, err = ours.ChannelBinding(BindingServerEndPoint)
	if cgnutls.AtLeast("3.7.2") {
		require.NoError(t, err)
		sum := sha256.Sum256(testCertificate(t, "server").Certificate[0])
		assert.Equal(t, sum[:], binding)
	} else {
		assert.ErrorIs(t, err, CodeNotAvailable)
		assert.ErrorContains(t, err, "has no tls-server-end-point")
	}

	binding, err = ours.ChannelBinding(BindingUnique)
	if theirs.Version == VersionTLS13 {
		assert.ErrorIs(t, err, CodeNotAvailable)
		assert.ErrorContains(t, err, "TLS 1.3 has no tls-unique")
		return
	}
	require.NoError(t, err)
	assert.NotEmpty(t, binding)
	assert.Equal(t, theirs.TLSUnique, binding)
}

func TestStateOfAClientIsThatOfItsServer(t *testing.T) {
	for _, version := range bothVersions {
		for group, curve := range groups {
			t.Run(VersionName(version)+"/"+group, func(t *testing.T) {
				cert := testCertificate(t, "server")
				cert.OCSPStaple = testenv.Read(t, "ocsp-good.der")
				clientCert := testCertificate(t, "client")
				client := clientConfig(t)
				client.MaxVersion, client.NextProtos = version, []string{"h2", "http/1.1"}
				client.Certificates = []Certificate{clientCert}
				authorities := x509.NewCertPool()
				require.True(t, authorities.AppendCertsFromPEM(testenv.Read(t, "ca.pem")))
				c, s, clientErr, serverErr := shakeCryptoServer(t, client, &tls.Config{
					Certificates: []tls.Certificate{cryptoCertificate(cert)},
					NextProtos:   []string{"http/1.1"},
					ClientAuth:   tls.RequireAndVerifyClientCert,
					ClientCAs:    authorities,

					CurvePreferences: []tls.CurveID{curve},
				})
				require.NoError(t, clientErr)
				require.NoError(t, serverErr)
				ours, theirs := c.ConnectionState(), s.ConnectionState()
				sameState(t, ours, theirs)
				sameKeyingMaterial(t, c, theirs)
				assert.Equal(t, group, ours.Group)
				assert.Equal(t, cert.Certificate, raw(ours.PeerCertificates))
				assert.Equal(t, clientCert.Certificate, raw(theirs.PeerCertificates))
				assert.Equal(t, cert.OCSPStaple, ours.OCSPResponse)
				assert.False(t, ours.PSK)
				assert.Empty(t, ours.PSKIdentity)
			})
		}
	}
}

func TestStateOfAServerIsThatOfItsClient(t *testing.T) {
	for _, version := range bothVersions {
		for group, curve := range groups {
			t.Run(VersionName(version)+"/"+group, func(t *testing.T) {
				cert := testCertificate(t, "server")
				cert.OCSPStaple = testenv.Read(t, "ocsp-good.der")
				clientCert := testCertificate(t, "client")
				server := &Config{
					Certificates: []Certificate{cert},
					NextProtos:   []string{"http/1.1"},
					ClientAuth:   RequireAndVerifyClientCert,
					ClientCAs:    testPool(t, "ca.pem"),
				}
				c, s, clientErr, serverErr := shakeCryptoClient(t, &tls.Config{
					ServerName:         "example.test",
					InsecureSkipVerify: true,
					MaxVersion:         version,
					NextProtos:         []string{"h2", "http/1.1"},
					CurvePreferences:   []tls.CurveID{curve},
					Certificates:       []tls.Certificate{cryptoCertificate(clientCert)},
				}, server)
				require.NoError(t, clientErr)
				require.NoError(t, serverErr)
				ours, theirs := s.ConnectionState(), c.ConnectionState()
				sameState(t, ours, theirs)
				sameKeyingMaterial(t, s, theirs)
				assert.Equal(t, group, ours.Group)
				assert.Equal(t, "example.test", ours.ServerName)
				assert.Equal(t, clientCert.Certificate, raw(ours.PeerCertificates))
				assert.Equal(t, cert.Certificate, raw(theirs.PeerCertificates))
				assert.Equal(t, cert.OCSPStaple, theirs.OCSPResponse)
				assert.Nil(t, ours.OCSPResponse)
			})
		}
	}
}

func TestChannelBindingsOfBothEnds(t *testing.T) {
	for _, version := range bothVersions {
		for _, resumed := range []bool{false, true} {
			for _, cert := range []string{"server", "server-rsa", "server-ed25519"} {
				t.Run(fmt.Sprintf("%s/resumed %t/%s", VersionName(version), resumed, cert), func(t *testing.T) {
					client, server := clientConfig(t),
						&Config{Certificates: []Certificate{testCertificate(t, cert)}}
					client.MaxVersion = version
					c, s := connect(t, client, server)
					group := c.ConnectionState().Group
					assert.NotEmpty(t, group)
					if resumed {
						data, err := c.SessionData(waitContext(t))
						require.NoError(t, err)
						cc, sc := tcpPipe(t)
						c, s = Client(cc, client), Server(sc, server)
						t.Cleanup(func() { c.Close(); s.Close() })
						require.NoError(t, c.Resume(data))
						clientErr, serverErr := shakeConns(t, c, s)
						require.NoError(t, clientErr)
						require.NoError(t, serverErr)
					}
					require.Equal(t, resumed, c.ConnectionState().DidResume)
					assert.Equal(t, group, c.ConnectionState().Group)
					assert.Equal(t, group, s.ConnectionState().Group)
					kinds := []BindingKind{BindingExporter}
					if version == VersionTLS12 {
						kinds = append(kinds, BindingUnique)
					}
					for _, kind := range kinds {
						ours, err := c.ChannelBinding(kind)
						require.NoError(t, err)
						theirs, err := s.ChannelBinding(kind)
						require.NoError(t, err)
						assert.NotEmpty(t, ours)
						assert.Equal(t, ours, theirs)
					}
				})
			}
		}
	}
}

func TestDerivedKeysThatCannotBe(t *testing.T) {
	cc, _ := tcpPipe(t)
	fresh := Client(cc, clientConfig(t))
	defer fresh.Close()
	for _, kind := range []BindingKind{BindingServerEndPoint, BindingExporter} {
		_, err := fresh.ChannelBinding(kind)
		assert.ErrorIs(t, err, CodeDuringHandshake)
	}
	_, err := fresh.ExportKeyingMaterial("label", nil, 32)
	assert.ErrorIs(t, err, CodeDuringHandshake)
	assert.ErrorContains(t, err, "gnutls: exporting keying material: the handshake is not complete")

	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			client := clientConfig(t)
			client.MaxVersion = version
			c, s := connect(t, client, serverConfig(t))
			for _, length := range []int{0, -1} {
				_, err := c.ExportKeyingMaterial("label", nil, length)
				assert.EqualError(t, err,
					fmt.Sprintf("gnutls: %d bytes of keying material were asked for", length))
			}
			_, err := c.ChannelBinding(BindingKind(99))
			assert.EqualError(t, err, "gnutls: unknown kind of channel binding 99")
			if version == VersionTLS12 {
				_, err = c.ExportKeyingMaterial("label", make([]byte, 1<<16), 32)
			} else {
				_, err = c.ExportKeyingMaterial("label", nil, 1<<20)
			}
			assert.ErrorIs(t, err, CodeInvalidRequest)
			echo(t, c, s)
			c.Close()
			_, err = c.ExportKeyingMaterial("label", nil, 32)
			assert.ErrorIs(t, err, net.ErrClosed)
			_, err = c.ChannelBinding(BindingExporter)
			assert.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

func TestStateBeforeAndAfter(t *testing.T) {
	cc, sc := tcpPipe(t)
	c, s := Client(cc, clientConfig(t)), Server(sc, serverConfig(t))
	assert.Zero(t, c.ConnectionState())
	assert.Zero(t, s.ConnectionState())
	clientErr, serverErr := shakeConns(t, c, s)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	open := c.ConnectionState()
	assert.True(t, open.HandshakeComplete)
	c.Close()
	s.Close()
	assert.Equal(t, open, c.ConnectionState(), "Close changes nothing")
	assert.Same(t, cc, c.NetConn())
	assert.Equal(t, cc.LocalAddr(), c.LocalAddr())
	assert.Equal(t, cc.RemoteAddr(), c.RemoteAddr())
}

// TestStateOfGroupsThatCryptoTLSLacks: finite fields, and no group at all.
func TestStateOfGroupsThatCryptoTLSLacks(t *testing.T) {
	for _, c := range []struct {
		priority, group, cipher string
		number                  uint16
	}{
		{"NORMAL:-VERS-TLS1.3:-KX-ALL:+RSA:-CIPHER-ALL:+AES-128-GCM", "", "TLS_RSA_AES_128_GCM_SHA256",
			tls.TLS_RSA_WITH_AES_128_GCM_SHA256},
		{"NORMAL:-VERS-TLS1.3:-KX-ALL:+DHE-RSA:-CIPHER-ALL:+AES-128-GCM:-GROUP-ALL:+GROUP-FFDHE2048",
			"FFDHE2048", "TLS_DHE_RSA_AES_128_GCM_SHA256", 0x009e},
		{"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-CCM:-GROUP-ALL:+GROUP-FFDHE3072",
			"FFDHE3072", "TLS_AES_128_CCM_SHA256", 0x1304},
		{"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305:-GROUP-ALL:+GROUP-X448", "X448",
			"TLS_CHACHA20_POLY1305_SHA256", tls.TLS_CHACHA20_POLY1305_SHA256},
	} {
		t.Run(c.cipher+" "+c.group, func(t *testing.T) {
			client := clientConfig(t)
			client.Priority = c.priority
			conn, s := connect(t, client,
				&Config{Certificates: []Certificate{testCertificate(t, "server-rsa")}})
			echo(t, conn, s)
			for _, cs := range []ConnectionState{conn.ConnectionState(), s.ConnectionState()} {
				assert.Equal(t, c.group, cs.Group)
				assert.Equal(t, c.cipher, cs.CipherSuiteName)
				assert.Equal(t, c.number, cs.CipherSuite)
			}
		})
	}
}

func TestVersionName(t *testing.T) {
	for version, name := range map[uint16]string{VersionTLS10: "TLS 1.0", VersionTLS11: "TLS 1.1",
		VersionTLS12: "TLS 1.2", VersionTLS13: "TLS 1.3", 0x0305: "0x0305", 0: "0x0000"} {
		assert.Equal(t, name, VersionName(version))
	}
	assert.Regexp(t, `^3\.\d+\.\d+`, LibraryVersion())
}

func TestErrorsAndTheirCodes(t *testing.T) {
	cause := errors.New("the cause")
	e := &Error{Op: "handshake", Code: CodeFatalAlertReceived, Alert: AlertUnknownCA, Err: nil}
	wrapped := fmt.Errorf("connecting: %w", e)
	assert.EqualError(t, wrapped,
		"connecting: gnutls: handshake: the peer sent a TLS alert: CA is unknown")
	assert.ErrorIs(t, wrapped, CodeFatalAlertReceived)
	assert.ErrorIs(t, wrapped, AlertUnknownCA)
	assert.NotErrorIs(t, wrapped, AlertBadCertificate)
	assert.NotErrorIs(t, wrapped, CodeSignFailed)
	var found *Error
	require.ErrorAs(t, wrapped, &found)
	assert.Same(t, e, found)

	e = &Error{Op: "read", Code: CodeSignFailed, Err: cause}
	assert.EqualError(t, e, "gnutls: read: the cause")
	assert.ErrorIs(t, e, cause)
	assert.ErrorIs(t, e, CodeSignFailed)
	assert.NotErrorIs(t, e, Alert(0), "no alert is no alert")

	e = &Error{Op: "write", Code: CodeRecordOverflow}
	assert.EqualError(t, e, "gnutls: write: "+CodeRecordOverflow.Error())
	assert.Nil(t, e.Unwrap())

	var code ErrorCode
	require.ErrorAs(t, fmt.Errorf("key: %w", CodeDecryptionFailed), &code)
	assert.Equal(t, CodeDecryptionFailed, code)
	assert.Equal(t, "GNUTLS_E_DECRYPTION_FAILED", CodeDecryptionFailed.Name())
	assert.Equal(t, "Decryption has failed.", CodeDecryptionFailed.Error())
	assert.Equal(t, "GNUTLS_E_AGAIN", ErrorCode(-28).Name())
	assert.Empty(t, ErrorCode(-9999).Name())
	assert.NotEmpty(t, ErrorCode(-9999).Error())

	var alert Alert
	require.ErrorAs(t, fmt.Errorf("peer: %w", AlertBadRecordMAC), &alert)
	assert.Equal(t, AlertBadRecordMAC, alert)
	assert.EqualError(t, AlertBadRecordMAC, "TLS alert: Bad record MAC")
	assert.EqualError(t, Alert(211), "TLS alert 211")
}

// TestNamedAlertsAreThoseOfTheLibrary: every alert that has a name here has a
// text in GnuTLS, and crypto/tls agrees on what it is for.
func TestNamedAlertsAreThoseOfTheLibrary(t *testing.T) {
	for alert, theirs := range map[Alert]string{
		AlertUnexpectedMessage:     "unexpected message",
		AlertBadRecordMAC:          "bad record MAC",
		AlertRecordOverflow:        "record overflow",
		AlertHandshakeFailure:      "handshake failure",
		AlertBadCertificate:        "bad certificate",
		AlertUnsupportedCert:       "unsupported certificate",
		AlertCertificateRevoked:    "revoked certificate",
		AlertCertificateExpired:    "expired certificate",
		AlertCertificateUnknown:    "unknown certificate",
		AlertIllegalParameter:      "illegal parameter",
		AlertUnknownCA:             "unknown certificate authority",
		AlertAccessDenied:          "access denied",
		AlertDecodeError:           "error decoding message",
		AlertDecryptError:          "error decrypting message",
		AlertProtocolVersion:       "protocol version not supported",
		AlertInsufficientSecurity:  "insufficient security level",
		AlertInternalError:         "internal error",
		AlertMissingExtension:      "missing extension",
		AlertUnsupportedExtension:  "unsupported extension",
		AlertUnrecognizedName:      "unrecognized name",
		AlertUnknownPSKIdentity:    "unknown PSK identity",
		AlertCertificateRequired:   "certificate required",
		AlertNoApplicationProtocol: "no application protocol",
	} {
		assert.Equal(t, "tls: "+theirs, tls.AlertError(alert).Error())
		assert.True(t, strings.HasPrefix(alert.Error(), "TLS alert: "), alert.Error())
	}
}

func TestExporterBindingNeedsTheExtendedMasterSecret(t *testing.T) {
	client, server := clientConfig(t), serverConfig(t)
	client.Priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_SESSION_HASH"
	c, _ := connect(t, client, server)
	_, err := c.ChannelBinding(BindingExporter)
	assert.ErrorIs(t, err, CodeNotAvailable)
	assert.ErrorContains(t, err, "no extended master secret")
}
