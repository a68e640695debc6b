//go:build !libcoap2

package coap

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// groupServer listens for the test group.
func groupServer(t *testing.T, h Handler) netip.AddrPort {
	t.Helper()
	s := &Server{Handler: h, Config: &Config{Leisure: time.Millisecond}}
	t.Cleanup(func() { s.Close() })
	endpoints, err := s.Listen("coap://0.0.0.0:0", "coap+tcp://127.0.0.1:0", "coap://127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, s.JoinGroup(testGroup, loopbackInterface(t)))
	return netip.AddrPortFrom(testGroup, endpoints[0].Addr.Port())
}

func TestServersAreAmongThePeersOfAGroup(t *testing.T) {
	group := groupServer(t, HandlerFunc(func(w ResponseWriter, r *Request) {
		assert.True(t, r.Multicast)
		assert.True(t, r.NonConfirmable)
		w.Write([]byte("server"))
	}))
	unprotect(t, group.Port())
	groupPeer(t, group.Port(), netip.MustParseAddr("127.0.0.2"), once("peer"))
	ctx, cancel := context.WithCancel(waitContext(t))
	defer cancel()
	got := make(map[string]netip.AddrPort)
	for r, err := range newTestNode(t, nil).Multicast(ctx, loopback, group, get()) {
		require.NoError(t, err)
		got[string(r.Body)] = r.From
		if len(got) == 2 {
			cancel()
		}
	}
	assert.Equal(t, netip.AddrPortFrom(loopback.Addr(), group.Port()), got["server"])
	assert.Equal(t, "127.0.0.2", got["peer"].Addr().String())
}

// unprotect lets others have a UDP port of this process too, as they have it on another host.
func unprotect(t *testing.T, number uint16) {
	t.Helper()
	descriptors, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, d := range descriptors {
		fd, err := strconv.Atoi(d.Name())
		require.NoError(t, err)
		kind, _ := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
		if kind == syscall.SOCK_DGRAM && port(syscall.Getsockname(fd)) == number {
			require.NoError(t, syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1))
		}
	}
}

// ipv6Interface returns an interface for multicast over IPv6, which loopback is not
// as a rule; "" where the machine has none.
func ipv6Interface(t *testing.T) string {
	t.Helper()
	interfaces, err := net.Interfaces()
	require.NoError(t, err)
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagMulticast == 0 {
			continue
		}
		addrs, err := i.Addrs()
		require.NoError(t, err)
		for _, addr := range addrs {
			if ip, ok := addr.(*net.IPNet); ok && ip.IP.IsLinkLocalUnicast() && ip.IP.To4() == nil {
				return i.Name
			}
		}
	}
	return ""
}

func TestServerOnAllAddressesJoinsGroupsOfBothFamilies(t *testing.T) {
	s := &Server{Handler: hello, Config: &Config{Leisure: time.Millisecond}}
	defer s.Close()
	endpoints, err := s.Listen("coap://:0")
	require.NoError(t, err)
	joined := []netip.AddrPort{netip.AddrPortFrom(testGroup, endpoints[0].Addr.Port())}
	require.NoError(t, s.JoinGroup(testGroup, loopbackInterface(t)))
	if i := ipv6Interface(t); i != "" && endpoints[0].Addr.Addr().Is6() {
		// Messages of this scope do not leave the machine.
		group := netip.MustParseAddr("ff01::4753").WithZone(i)
		joined = append(joined, netip.AddrPortFrom(group, endpoints[0].Addr.Port()))
		require.NoError(t, s.JoinGroup(group, nil))
	}
	for _, group := range joined {
		local := netip.AddrPort{}
		if group.Addr().Is4() {
			local = loopback
		}
		var from netip.AddrPort
		for r, err := range newTestNode(t, nil).Multicast(waitContext(t), local, group, get()) {
			require.NoError(t, err)
			assert.Equal(t, "hello", string(r.Body))
			from = r.From
			break
		}
		assert.Equal(t, group.Port(), from.Port())
		assert.Equal(t, group.Addr().Is4(), from.Addr().Is4())
	}
}

func TestRequestsForAGroupGetNoUselessResponses(t *testing.T) {
	var m Mux
	m.HandleFunc("GET /empty", func(w ResponseWriter, r *Request) {})
	m.HandleFunc("GET /panic", func(w ResponseWriter, r *Request) { panic("in a test") })
	m.Handle("GET /hello", hello, Attr("rt", "greeting"))
	group := groupServer(t, &m)
	client := coappeer.NewUDP(t)
	send := func(id uint16, typ coappeer.Type, path string, options ...coappeer.Option) {
		m := coappeer.Message{Type: typ, Code: coappeer.GET, ID: id, Token: []byte{byte(id)}}
		m.Options = append(coappeer.Path(path), options...)
		client.Send(group, m)
	}
	send(1, coappeer.NON, "nothing")
	send(2, coappeer.NON, "empty")
	send(3, coappeer.NON, "panic")
	send(4, coappeer.CON, "hello")
	send(5, coappeer.NON, ".well-known/core", coappeer.String(coappeer.URIQuery, "rt=none"))
	send(6, coappeer.NON, "hello", coappeer.Uint(coappeer.NoResponse, 2))
	send(7, coappeer.NON, "hello", coappeer.Block{Num: 0, SZX: 7}.Option(coappeer.Block2))
	send(10, coappeer.NON, "hello", coappeer.Block{Num: 1, SZX: 6}.Option(coappeer.Block1))
	// Those that follow are answered.
	send(8, coappeer.NON, "nothing", coappeer.Uint(coappeer.NoResponse, 2))
	send(9, coappeer.NON, ".well-known/core", coappeer.String(coappeer.URIQuery, "rt=greeting"))
	got := make(map[byte]coappeer.Message)
	for range 2 {
		r := client.Receive(t)
		assert.Equal(t, coappeer.NON, r.Type)
		assert.Equal(t, group.Port(), r.From.Port())
		got[r.Token[0]] = r.Message
	}
	assert.Equal(t, coappeer.NotFound, got[8].Code)
	assert.Equal(t, `</hello>;rt="greeting"`, string(got[9].Payload))
	client.ExpectNothing(t, netip.AddrPortFrom(loopback.Addr(), group.Port()), 100)
}

func TestAddressOfTheServerIsNoGroup(t *testing.T) {
	group := groupServer(t, HandlerFunc(func(w ResponseWriter, r *Request) {
		assert.False(t, r.Multicast)
		w.SetCode(CodeNotFound)
	}))
	s := connect(t, nil, netip.AddrPortFrom(loopback.Addr(), group.Port()), UDP)
	r, err := s.Do(waitContext(t), get())
	require.NoError(t, err)
	assert.Equal(t, CodeNotFound, r.Code)
}

func TestJoinGroupRefusesWhatItCannotDo(t *testing.T) {
	specific := newTestNode(t, nil)
	_, err := specific.Listen(loopback, UDP)
	require.NoError(t, err)
	all := newTestNode(t, nil)
	_, err = all.Listen(netip.MustParseAddrPort("0.0.0.0:0"), UDP)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		c     *Node
		group netip.Addr
		on    *net.Interface
		want  string
	}{
		"an address that is no group": {all, loopback.Addr(), nil,
			"coap: join 127.0.0.1: not a multicast address"},
		"no address": {all, netip.Addr{}, nil,
			"coap: join invalid IP: not a multicast address"},
		"an unknown interface": {all, testGroup, &net.Interface{Name: "no-such-0"},
			`coap: join 239.255.71.83: there is no interface "no-such-0"`},
		"an interface without a name": {all, testGroup, &net.Interface{},
			`coap: join 239.255.71.83: there is no interface ""`},
		"an unknown zone": {all, AllNodesLinkLocal.WithZone("no-such-0"), nil,
			`coap: join ff02::fd: there is no interface "no-such-0"`},
		"an endpoint of one address": {specific, testGroup, nil,
			"coap: join 239.255.71.83: no UDP endpoint listens on all addresses of the group's family"},
		"an endpoint of another family": {all, AllNodesLinkLocal, nil,
			"coap: join ff02::fd: no UDP endpoint listens on all addresses of the group's family"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.EqualError(t, test.c.JoinGroup(test.group, test.on), test.want)
		})
	}
	require.NoError(t, all.JoinGroup(testGroup, loopbackInterface(t)))
	assert.Error(t, all.JoinGroup(testGroup, loopbackInterface(t)), "it is in the group already")
	require.NoError(t, all.Close())
	assert.ErrorIs(t, all.JoinGroup(testGroup, loopbackInterface(t)), net.ErrClosed)
	var s Server
	assert.ErrorIs(t, s.JoinGroup(testGroup, loopbackInterface(t)), errNoGroupEndpoint)
	require.NoError(t, s.Close())
	assert.ErrorIs(t, s.JoinGroup(testGroup, loopbackInterface(t)), ErrServerClosed)
}

func TestResponsesForAGroupTakeTheirTime(t *testing.T) {
	requests := make(chan struct{}, 1)
	s := &Server{Handler: HandlerFunc(func(w ResponseWriter, r *Request) {
		requests <- struct{}{}
		w.Write([]byte("late"))
	}), Config: &Config{Leisure: 1000 * time.Hour}}
	defer s.Close()
	endpoints, err := s.Listen("coap://0.0.0.0:0")
	require.NoError(t, err)
	require.NoError(t, s.JoinGroup(testGroup, loopbackInterface(t)))
	addr := netip.AddrPortFrom(loopback.Addr(), endpoints[0].Addr.Port())
	client := coappeer.NewUDP(t)
	request := coappeer.Message{Type: coappeer.NON, Code: coappeer.GET, ID: 1, Token: []byte{1}}
	client.Send(netip.AddrPortFrom(testGroup, addr.Port()), request)
	receive(t, requests)
	request.ID = 2
	client.Send(addr, request)
	receive(t, requests)
	assert.Equal(t, "late", string(client.Expect(t, coappeer.NON, coappeer.Content).Payload))
	client.ExpectNothing(t, addr, 100)
}

func TestLargeResponsesForAGroupAreFetchedFromTheirSender(t *testing.T) {
	large := randomBytes(3000)
	group := groupServer(t, HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(large) }))
	c := newTestNode(t, nil)
	for r, err := range c.Multicast(waitContext(t), loopback, group, get()) {
		require.NoError(t, err)
		assert.Equal(t, large[:1024], r.Body)
		_, more := r.Options.Get(OptionBlock2)
		assert.True(t, more)
		s, err := c.NewClientSession(netip.AddrPort{}, r.From, UDP)
		require.NoError(t, err)
		rest, err := s.Get(waitContext(t), "/")
		require.NoError(t, err)
		assert.Equal(t, large, rest.Body)
		return
	}
	require.Fail(t, "no response")
}

func TestGroupsWithLibcoapsPrograms(t *testing.T) {
	group := groupServer(t, hello)
	got := testenv.RunCoAPClient(t, "gnutls", testenv.CoAPRequest{
		URI:  "coap://" + group.String() + "/x",
		Args: []string{"-N", "-B", "2", "-a", loopback.Addr().String()},
	})
	assert.Equal(t, "2.05", got.Code)
	assert.Equal(t, "hello", string(got.Body))

	server := testenv.StartCoAPServer(t, "gnutls", "-A", "0.0.0.0", "-g", testGroup.String(), "-G",
		loopbackName)
	group = netip.AddrPortFrom(testGroup, server.Addr.Port())
	for r, err := range newTestNode(t, nil).Multicast(waitContext(t), loopback, group, get()) {
		require.NoError(t, err)
		assert.Equal(t, server.Addr, r.From)
		assert.Contains(t, string(r.Body), "libcoap")
		return
	}
	require.Fail(t, "no response")
}
