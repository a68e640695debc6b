package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// CoAPFlavours are the builds of libcoap's tools that tests talk to, named
// after their TLS library.
var CoAPFlavours = []string{"gnutls", "openssl"}

// A CoAPServer is a coap-server of libcoap. Its resources are / (text), /time
// (observable, changes every second), /async and /.well-known/core, and with
// "-d", "10" among its arguments ten that PUT creates.
type CoAPServer struct {
	*Process
	Addr       netip.AddrPort // UDP and TCP
	SecureAddr netip.AddrPort // DTLS and TLS, with CoAPServerPSK or CoAPPKI
}

// StartCoAPServer runs coap-server-FLAVOUR on 127.0.0.1 and waits until it
// answers.
func StartCoAPServer(t testing.TB, flavour string, args ...string) CoAPServer {
	t.Helper()
	for attempt := 1; ; attempt++ {
		addr := freePair(t)
		s := CoAPServer{
			Process: Start(t, "coap-server-"+flavour, append([]string{
				"-A", addr.Addr().String(), "-p", fmt.Sprint(addr.Port()), "-v", "7",
			}, args...)...),
			Addr:       addr,
			SecureAddr: netip.AddrPortFrom(addr.Addr(), addr.Port()+1),
		}
		err := s.awaitAnswer(t)
		if err == nil {
			return s
		}
		s.kill()
		if !errors.Is(err, errPortTaken) || attempt == 5 {
			t.Fatal(err)
		}
	}
}

// URI returns the URI of a path on the server, "/time" say.
func (s CoAPServer) URI(scheme, path string) string {
	addr := s.Addr
	if strings.HasPrefix(scheme, "coaps") {
		addr = s.SecureAddr
	}
	return scheme + "://" + addr.String() + path
}

var errPortTaken = errors.New("somebody else was faster to take the port")

// awaitAnswer sends requests for / over UDP. The server opens all its ports
// before it answers any. It would answer few pings.
func (s CoAPServer) awaitAnswer(t testing.TB) error {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: s.Addr.Addr().AsSlice()})
	if err != nil {
		return err
	}
	defer conn.Close()
	request, response := []byte{0x40, 1, 0x47, 0x4e}, []byte{0x60, 2<<5 | 5, 0x47, 0x4e}
	buf := make([]byte, 1500)
	for deadline := time.Now().Add(peerWait); time.Now().Before(deadline); {
		if _, err := conn.WriteToUDPAddrPort(request, s.Addr); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if strings.Contains(s.Output(), "Address already in use") {
			return errPortTaken
		}
		if err == nil && from == s.Addr && bytes.HasPrefix(buf[:n], response) {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("%s ended: %v", s.name, s.cmd.ProcessState)
		default:
		}
	}
	return fmt.Errorf("%s does not answer", s.name)
}

// freePair returns an address on loopback whose port and the one above are free
// now, for UDP and TCP. libcoap shares its UDP ports (SO_REUSEADDR), so they
// are below those that the kernel gives to who asks for any.
func freePair(t testing.TB) netip.AddrPort {
	t.Helper()
	var err error
	for range 100 {
		port := 20000 + 2*rand.N[uint16](5000)
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
		if err = errors.Join(canListen(addr),
			canListen(netip.AddrPortFrom(addr.Addr(), port+1))); err == nil {
			return addr
		}
	}
	t.Fatal(err)
	return netip.AddrPort{}
}

func canListen(addr netip.AddrPort) error {
	udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return err
	}
	udp.Close()
	tcp, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return err
	}
	return tcp.Close()
}

// CoAPServerPSK returns the arguments of a coap-server that has one key for all
// identities.
func CoAPServerPSK(key string) []string { return []string{"-k", key} }

// CoAPClientPSK returns the arguments of a coap-client that has a key.
func CoAPClientPSK(identity, key string) []string { return []string{"-u", identity, "-k", key} }

// CoAPPKI returns the arguments of a coap-server or coap-client that has
// NAME.pem and NAME.key of testdata, and trusts only ca.pem. A server then
// asks for a client's certificate, unless "-n" follows.
func CoAPPKI(t testing.TB, name string) []string {
	t.Helper()
	if CoAPClientTakes(t, 'j') {
		return []string{"-c", File(name + ".pem"), "-j", File(name + ".key"), "-C", File("ca.pem")}
	}
	file := filepath.Join(t.TempDir(), name+".pem") // older ones want both in one file
	both := append(Read(t, name+".pem"), Read(t, name+".key")...)
	require.NoError(t, os.WriteFile(file, both, 0o600))
	return []string{"-c", file, "-C", File("ca.pem")}
}

var coapFlags = regexp.MustCompile(`(?m)^\s+-(\w)\b`)

// CoAPClientTakes reports whether libcoap's coap-client has all of these flags: later
// versions have more.
func CoAPClientTakes(t testing.TB, flags ...rune) bool {
	t.Helper()
	usage, _ := exec.Command(Peer(t, "coap-client-gnutls"), "-h").CombinedOutput()
	found := coapFlags.FindAllStringSubmatch(string(usage), -1)
	require.NotEmpty(t, found, "%s", usage)
	for _, flag := range flags {
		if !slices.ContainsFunc(found, func(m []string) bool { return m[1] == string(flag) }) {
			return false
		}
	}
	return true
}

// A CoAPRequest is what a coap-client is to do.
type CoAPRequest struct {
	Method  string // as in "put"; "" is "get"
	URI     string
	Payload []byte
	Args    []string // what else coap-client is given
}

// A CoAPResponse is what a coap-client got.
type CoAPResponse struct {
	Code   string // of the last message, as in "2.05"; "" if none came
	Body   []byte // put together from its blocks; only with 2.xx
	Output string // all that coap-client printed
}

// received finds the messages that coap-client prints, and in them their codes.
// The codes of requests are words. libcoap 4.3.4 and later write messages over TCP in
// another way.
var received = regexp.MustCompile(`(?m)^v:(?:1 t:[A-Z]+|Reliable) c:(\d\.\d\d) `)

// RunCoAPClient runs coap-client-FLAVOUR until it ends by itself, 20 seconds
// after its request if nothing answers. The exit code of coap-client says
// nothing.
func RunCoAPClient(t testing.TB, flavour string, request CoAPRequest) CoAPResponse {
	t.Helper()
	dir := t.TempDir()
	body := filepath.Join(dir, "body")
	args := []string{"-v", "6", "-B", "20", "-o", body}
	if request.Method != "" {
		args = append(args, "-m", request.Method)
	}
	if request.Payload != nil {
		payload := filepath.Join(dir, "payload")
		if err := os.WriteFile(payload, request.Payload, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-f", payload)
	}
	p := Start(t, "coap-client-"+flavour, append(append(args, request.Args...), request.URI)...)
	if code := p.Wait(t); code != 0 {
		t.Fatalf("%s ended with exit code %d", p.cmd, code)
	}
	response := CoAPResponse{Output: p.Output()}
	if all := received.FindAllStringSubmatch(response.Output, -1); all != nil {
		response.Code = all[len(all)-1][1]
	}
	var err error
	if response.Body, err = os.ReadFile(body); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return response
}
