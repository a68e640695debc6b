package gnutls

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/tls13peer"
)

// TestAlertOfVerifyConnection: the error decides what the peer is told.
func TestAlertOfVerifyConnection(t *testing.T) {
	boom := errors.New("not on the list")
	for _, c := range []struct {
		name  string
		err   error
		alert Alert
	}{
		{"none", boom, AlertBadCertificate},
		{"wrapped", fmt.Errorf("%w: %w", boom, AlertAccessDenied), AlertAccessDenied},
		{"alone", AlertCertificateUnknown, AlertCertificateUnknown},
		{"zero", Alert(0), AlertBadCertificate},
	} {
		for _, version := range bothVersions {
			for _, side := range sides {
				t.Run(c.name+"/"+VersionName(version)+"/"+side, func(t *testing.T) {
					client, server := pairOf(t, version)
					if side == "client" {
						client.VerifyConnection = func(ConnectionState) error { return c.err }
					} else {
						server.VerifyConnection = func(ConnectionState) error { return c.err }
					}
					own, peer, ownErr, peerErr := shake(t, client, server)
					if side == "server" {
						own, peer, ownErr, peerErr = peer, own, peerErr, ownErr
					}
					require.ErrorIs(t, ownErr, c.err)
					if peerErr == nil { // a client under TLS 1.3 is done before
						_, peerErr = peer.Read(make([]byte, 1))
					}
					assert.ErrorIs(t, peerErr, c.alert)
				})
			}
		}
	}
}

// TestOtherMessageInPlaceOfACertificate: that is not a certificate that is
// missing.
func TestOtherMessageInPlaceOfACertificate(t *testing.T) {
	const messageCertificate = 11
	config := serverConfig(t)
	config.ClientAuth = RequireAnyClientCert
	cc, sc := tcpPipe(t)
	p, s := tls13peer.NewClient(cc, tls13peer.ClientScript{}), Server(sc, config)
	p.Before = func(typ byte) bool {
		if typ == messageCertificate {
			p.SendMessage(messageFinished, make([]byte, 32))
		}
		return typ != messageCertificate
	}
	done := make(chan error, 1)
	go func() {
		err := s.HandshakeContext(waitContext(t))
		s.Close()
		done <- err
	}()
	require.ErrorIs(t, p.Handshake(), tls13peer.ErrStopped)
	err := <-done
	assert.ErrorIs(t, err, CodeUnexpectedPacket)
	_, alerts := records(t, &p.Conn)
	assert.Equal(t, [][]byte{{2, byte(AlertUnexpectedMessage)}}, alerts)
}

// TestAllowTruncation: the end of the transport is that of the data,
// but only between two records.
func TestAllowTruncation(t *testing.T) {
	for _, version := range bothVersions {
		for _, side := range sides {
			for _, half := range []bool{false, true} {
				t.Run(fmt.Sprint(VersionName(version), "/", side, "/", half), func(t *testing.T) {
					client, server := clientConfig(t), serverConfig(t)
					client.MaxVersion = version
					client.AllowTruncation, server.AllowTruncation = true, true
					own, peer := connect(t, client, server)
					if side == "server" {
						own, peer = peer, own
					}
					_, err := peer.Write([]byte("data"))
					require.NoError(t, err)
					if half {
						_, err = peer.conn.Write([]byte{23, 3, 3, 0, 40, 1})
						require.NoError(t, err)
					}
					require.NoError(t, peer.conn.(*net.TCPConn).CloseWrite())
					require.NoError(t, own.SetReadDeadline(time.Now().Add(wait)))
					got, err := io.ReadAll(own)
					assert.Equal(t, "data", string(got))
					if half {
						assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
						return
					}
					require.NoError(t, err)
					_, err = own.Write([]byte("answer"))
					require.NoError(t, err)
					require.NoError(t, own.Close())
					got, err = io.ReadAll(peer)
					require.NoError(t, err)
					assert.Equal(t, "answer", string(got))
				})
			}
		}
	}
}

// TestCipherSuiteAfterAFalseStart is known though nothing is encrypted with it
// yet.
func TestCipherSuiteAfterAFalseStart(t *testing.T) {
	client := clientConfig(t)
	client.FalseStart, client.MaxVersion = true, VersionTLS12
	c, s := connect(t, client, serverConfig(t))
	require.True(t, c.reading.falseStart)
	assert.NotZero(t, c.ConnectionState().CipherSuite)
	assert.Equal(t, s.ConnectionState().CipherSuite, c.ConnectionState().CipherSuite)
	assert.Equal(t, s.ConnectionState().CipherSuiteName, c.ConnectionState().CipherSuiteName)
}

// TestVerifyErrorOfAResumedSession: it was not verified the first time either.
func TestVerifyErrorOfAResumedSession(t *testing.T) {
	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			client, server := clientConfig(t), serverConfig(t)
			client.MaxVersion = version
			client.RootCAs, client.InsecureSkipVerify = NewCertPool(), true
			client.ClientSessionCache = NewClientSessionCache(0)
			var first error
			for _, resumed := range []bool{false, true} {
				cc, sc := tcpPipe(t)
				c, s := Client(sameAddr{cc}, client), Server(sc, server)
				clientErr, serverErr := shakeConns(t, c, s)
				require.NoError(t, clientErr)
				require.NoError(t, serverErr)
				cs := c.ConnectionState()
				assert.Equal(t, resumed, cs.DidResume)
				assert.Empty(t, cs.VerifiedChains)
				require.Error(t, cs.VerifyError)
				if !resumed {
					first = cs.VerifyError
				}
				assert.EqualError(t, cs.VerifyError, first.Error())
				_, err := c.SessionData(waitContext(t))
				require.NoError(t, err)
				c.Close()
				s.Close()
			}
		})
	}
}

// TestKeyingMaterialOfOldVersions is right or an error, and never zeros.
func TestKeyingMaterialOfOldVersions(t *testing.T) {
	for version, name := range map[uint16]string{0x0301: "TLS1.0", 0x0302: "TLS1.1",
		VersionTLS12: "TLS1.2"} {
		t.Run(name, func(t *testing.T) {
			client, server := clientConfig(t), serverConfig(t)
			client.Priority = "NORMAL:-VERS-ALL:+VERS-" + name + ":+SIGN-ALL:%VERIFY_ALLOW_SIGN_WITH_SHA1"
			server.Priority = client.Priority
			c, s := connect(t, client, server)
			require.Equal(t, version, c.ConnectionState().Version)
			for _, n := range []int{1, 32, 200, 201, 1000} {
				a, errA := c.ExportKeyingMaterial("EXPERIMENTAL label", nil, n)
				b, errB := s.ExportKeyingMaterial("EXPERIMENTAL label", nil, n)
				if version < VersionTLS12 && n > 200 {
					assert.ErrorIs(t, errA, CodeInvalidRequest)
					assert.ErrorIs(t, errB, CodeInvalidRequest)
					continue
				}
				require.NoError(t, errA)
				require.NoError(t, errB)
				assert.Equal(t, a, b)
				if n > 1 { // of 256 single bytes one is zero
					assert.NotEqual(t, make([]byte, n), a)
				}
			}
		})
	}
}

// TestTLSUniqueOfAResumedSession (RFC 7627 section 5.4).
func TestTLSUniqueOfAResumedSession(t *testing.T) {
	for _, secret := range []bool{true, false} {
		t.Run(fmt.Sprint("extended master secret ", secret), func(t *testing.T) {
			client, server := clientConfig(t), serverConfig(t)
			client.MaxVersion = VersionTLS12
			if !secret {
				client.Priority = "NORMAL:%NO_SESSION_HASH"
				server.Priority = client.Priority
			}
			client.ClientSessionCache = NewClientSessionCache(0)
			for _, resumed := range []bool{false, true} {
				cc, sc := tcpPipe(t)
				c, s := Client(sameAddr{cc}, client), Server(sc, server)
				clientErr, serverErr := shakeConns(t, c, s)
				require.NoError(t, clientErr)
				require.NoError(t, serverErr)
				require.Equal(t, resumed, c.ConnectionState().DidResume)
				for _, conn := range []*Conn{c, s} {
					binding, err := conn.ChannelBinding(BindingUnique)
					if resumed && !secret {
						assert.ErrorIs(t, err, CodeNotAvailable)
						continue
					}
					require.NoError(t, err)
					assert.NotEmpty(t, binding)
				}
				c.Close()
				s.Close()
			}
		})
	}
}
