package gnutls

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

// TestConnIsANetConn runs the conformance tests of golang.org/x/net on
// connections over several transports, from both ends.
func TestConnIsANetConn(t *testing.T) {
	listen := func(network, addr string) func(t *testing.T) (client, server net.Conn) {
		return func(t *testing.T) (client, server net.Conn) {
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "socket")
			}
			ln, err := net.Listen(network, addr)
			require.NoError(t, err)
			defer ln.Close()
			client, err = net.Dial(network, ln.Addr().String())
			require.NoError(t, err)
			server, err = ln.Accept()
			require.NoError(t, err)
			return client, server
		}
	}
	transports := map[string]func(t *testing.T) (client, server net.Conn){
		"tcp":  listen("tcp", "127.0.0.1:0"),
		"unix": listen("unix", ""),
		"pipe": func(*testing.T) (net.Conn, net.Conn) { return net.Pipe() },
	}
	for name, transport := range transports {
		for _, version := range []uint16{VersionTLS12, VersionTLS13} {
			for _, first := range []string{"client", "server"} {
				t.Run(name+"/"+VersionName(version)+"/"+first, func(t *testing.T) {
					clientConf, serverConf := clientConfig(t), serverConfig(t)
					clientConf.MaxVersion, serverConf.MaxVersion = version, version
					nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
						rawClient, rawServer := transport(t)
						client, server := Client(rawClient, clientConf), Server(rawServer, serverConf)
						clientErr, serverErr := shakeConns(t, client, server)
						require.NoError(t, clientErr)
						require.NoError(t, serverErr)
						c1, c2 = client, server
						if first == "server" {
							c1, c2 = server, client
						}
						return c1, c2, func() {
							// Without its transport neither end waits for the other
							// to read the close_notify.
							rawClient.Close()
							rawServer.Close()
							c1.Close()
							c2.Close()
						}, nil
					})
				})
			}
		}
	}
}
