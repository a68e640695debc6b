package gnutls

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// native is what the clients, or the servers, of a Config share. It is made once
// and does not change. Its parts are freed when nothing refers to them any more.
type native struct {
	priority    *priority
	certs       *credentials
	turns       callbackTurns       // nil where nothing is called
	byName      *serverCertificates // server, nil where there is no choice
	pskClient   *pskClientCredentials
	pskServer   *pskServerCredentials
	ticketKey   *TicketKey
	store       SessionStore
	tickets     int // server: how many it sends unasked
	maxTickets  int
	early       *earlyDataGuard   // server, nil where it takes no early data
	trust       [sha256.Size]byte // client: identifies whom it trusts, see SessionData
	certPresent [sha256.Size]byte // client: identifies what it presents
}

type priority struct{ p *cgnutls.Priority }

type pskClientCredentials struct{ c *cgnutls.PSKClientCredentials }

type pskServerCredentials struct{ c *cgnutls.PSKServerCredentials }

// native returns what clients or servers share, and makes it on the first call.
func (c *Config) native(server bool) (*native, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slot, build := &c.client, c.buildClient
	if server {
		slot, build = &c.server, c.buildServer
	}
	if *slot == nil {
		n, err := build()
		if err != nil {
			return nil, err
		}
		*slot = n
	}
	return *slot, nil
}

func (c *Config) buildClient() (*native, error) {
	n := new(native)
	err := c.checkProtocols()
	if err != nil {
		return nil, err
	}
	if n.turns, err = c.newTurns(false); err != nil {
		return nil, err
	}
	if n.priority, err = c.newPriority(pskExchanges(c.PSKIdentity != ""), true, false); err != nil {
		return nil, err
	}
	pool := c.RootCAs
	if pool == nil {
		pool = systemRoots
	}
	if n.certs, err = newCredentials(pool, c.Certificates, true); err != nil {
		return nil, err
	}
	switch {
	case c.PSKIdentity != "" && len(c.PSKKey) == 0:
		return nil, errors.New("gnutls: Config.PSKIdentity is set and PSKKey is empty")
	case c.PSKIdentity == "" && len(c.PSKKey) > 0:
		return nil, errors.New("gnutls: Config.PSKKey is set and PSKIdentity is empty")
	case strings.ContainsRune(c.PSKIdentity, 0):
		return nil, errors.New("gnutls: Config.PSKIdentity holds a NUL byte")
	case c.PSKIdentity != "":
		creds, code := cgnutls.NewPSKClientCredentials([]byte(c.PSKIdentity), c.PSKKey)
		if code < 0 {
			return nil, check("setting the pre-shared key", code)
		}
		n.pskClient = &pskClientCredentials{creds}
		runtime.AddCleanup(n.pskClient, (*cgnutls.PSKClientCredentials).Free, creds)
	}
	pools := pool.fingerprint()
	n.trust = sha256.Sum256(fmt.Appendf(nil, "trust %x skip %t priority %q", pools,
		c.InsecureSkipVerify, c.Priority))
	h := sha256.New()
	for _, cert := range c.Certificates {
		for _, der := range cert.Certificate {
			h.Write(der)
		}
	}
	fmt.Fprintf(h, "psk %q ", c.PSKIdentity)
	h.Write(c.PSKKey)
	n.certPresent = [sha256.Size]byte(h.Sum(nil))
	return n, nil
}

func (c *Config) buildServer() (*native, error) {
	n := new(native)
	err := c.checkProtocols()
	if err != nil {
		return nil, err
	}
	if n.turns, err = c.newTurns(true); err != nil {
		return nil, err
	}
	if n.priority, err = c.newPriority(pskExchanges(c.GetPSK != nil), false, false); err != nil {
		return nil, err
	}
	if len(c.Certificates) == 0 && c.GetPSK == nil {
		return nil, errors.New("gnutls: a server needs Config.Certificates or Config.GetPSK")
	}
	var pool *CertPool
	if c.ClientAuth.verifies() {
		if c.ClientCAs == nil {
			return nil, errors.New("gnutls: Config.ClientAuth verifies clients and ClientCAs is nil")
		}
		pool = c.ClientCAs
	}
	if n.certs, err = newCredentials(pool, c.Certificates, false); err != nil {
		return nil, err
	}
	if len(c.Certificates) > 1 {
		if n.byName, err = newServerCertificates(c.Certificates, pool); err != nil {
			return nil, err
		}
	}
	if c.GetPSK != nil {
		creds, code := cgnutls.NewPSKServerCredentials()
		if code < 0 {
			return nil, check("setting up pre-shared keys", code)
		}
		n.pskServer = &pskServerCredentials{creds}
		runtime.AddCleanup(n.pskServer, (*cgnutls.PSKServerCredentials).Free, creds)
	}
	if err := checkTicketKeys(c.TicketKey, c.TicketKeyFile); err != nil {
		return nil, fmt.Errorf("gnutls: %w", err)
	}
	if n.ticketKey = c.TicketKey; n.ticketKey == nil && c.TicketKeyFile == nil {
		if n.ticketKey, err = NewTicketKey(); err != nil {
			return nil, err
		}
	}
	if n.tickets, n.maxTickets, err = ticketLimits(c.SessionTickets, c.MaxSessionTickets); err != nil {
		return nil, fmt.Errorf("gnutls: %w", err)
	}
	if n.early, err = c.newEarlyDataGuard(); err != nil {
		return nil, err
	}
	if n.store = c.SessionStore; n.store == nil {
		n.store = NewSessionStore(0)
	}
	return n, nil
}

// checkTicketKeys says what is wrong with these fields of a Config.
func checkTicketKeys(key *TicketKey, file *TicketKeyFile) error {
	if key != nil && file != nil {
		return errors.New("Config.TicketKey and TicketKeyFile are both set")
	}
	return nil
}

// ticketLimits returns how many tickets a server sends to clients that do not say, and how many
// at once at most, from the fields of a Config.
func ticketLimits(sessionTickets, maxSessionTickets int) (unasked, most int, err error) {
	const limit = math.MaxUint8 // as many as RFC 9149 can count
	unasked = max(0, cmp.Or(sessionTickets, DefaultSessionTickets))
	most = cmp.Or(maxSessionTickets, max(DefaultMaxSessionTickets, unasked))
	switch {
	case maxSessionTickets < 0 || most > limit:
		return 0, 0,
			fmt.Errorf("%d tickets at once are not 1 to %d (Config.MaxSessionTickets, SessionTickets)", most,
				limit)
	case sessionTickets > most:
		return 0, 0, fmt.Errorf("Config.SessionTickets is %d and MaxSessionTickets %d", sessionTickets,
			most)
	}
	return min(unasked, most), most, nil
}

// checkProtocols applies the limits of gnutls_alpn_set_protocols.
func (c *Config) checkProtocols() error {
	const maxProtocols, maxLength = 8, 31
	if len(c.NextProtos) > maxProtocols {
		return fmt.Errorf("gnutls: Config.NextProtos has %d entries; GnuTLS takes %d", len(c.NextProtos),
			maxProtocols)
	}
	for _, p := range c.NextProtos {
		if len(p) == 0 || len(p) > maxLength {
			return fmt.Errorf("gnutls: Config.NextProtos holds %q, whose length is not 1 to %d", p,
				maxLength)
		}
	}
	return nil
}
