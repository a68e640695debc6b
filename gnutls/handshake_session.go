package gnutls

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// start makes the native session, once.
func (c *Conn) start() error {
	if c.handshaking.setup {
		return nil
	}
	if c.client && c.serverName == "" && !c.config.InsecureSkipVerify && c.config.PSKIdentity == "" {
		return errors.New("gnutls: either Config.ServerName or InsecureSkipVerify must be set")
	}
	if strings.ContainsRune(c.serverName, 0) {
		return fmt.Errorf("gnutls: the server name %q holds a NUL byte", c.serverName)
	}
	n, err := c.config.native(!c.client)
	if err != nil {
		return err
	}
	if f := c.config.TicketKeyFile; f != nil && !c.client {
		c.handshaking.ticketKeys = f.current(c.log)
	}
	if err := c.newSession(n); err != nil {
		return err
	}
	if c.client {
		c.startResumption()
	}
	c.handshaking.setup = true
	return nil
}

// newSession makes a native session, in place of the one that there is.
func (c *Conn) newSession(n *native) error {
	s, err := c.makeSession(n, n.early != nil)
	if err != nil {
		return err
	}
	c.native = n
	c.handshaking.session = &session{s: s, native: n}
	c.tls.replace(c.handshaking.session, c)
	return nil
}

// makeSession makes a native session that nobody else knows yet. early tells whether a
// server takes early data.
func (c *Conn) makeSession(n *native, early bool) (*cgnutls.Session, error) {
	s, code := cgnutls.NewSession(cgnutls.Options{
		Server:      !c.client,
		FalseStart:  c.client && c.config.FalseStart,
		NoTickets:   c.config.SessionTicketsDisabled,
		Tickets:     c.client && !c.config.SessionTicketsDisabled,
		KeyLog:      c.config.KeyLogWriter != nil,
		Store:       !c.client,
		ByName:      n.byName != nil,
		AnyKeyUsage: c.client && c.config.InsecureSkipVerify,
		TLS13:       slices.Contains(n.priority.p.Protocols(), VersionTLS13),
		Requests:    !c.client && !c.config.TicketRequestsIgnored && !c.config.SessionTicketsDisabled,
		EarlyData:   early,
	})
	if code < 0 {
		return nil, check("making the session", code)
	}
	if err := c.configure(n, s, early); err != nil {
		s.Free()
		return nil, err
	}
	return s, nil
}

func (c *Conn) configure(n *native, s *cgnutls.Session, early bool) error {
	if err := check("setting the priorities", s.SetPriority(n.priority.p)); err != nil {
		return err
	}
	if err := check("setting the certificates", s.SetCertificateCredentials(n.certs.c)); err != nil {
		return err
	}
	if len(c.config.NextProtos) > 0 {
		if err := check("setting the application protocols",
			s.SetALPN(c.config.NextProtos, true, !c.client)); err != nil {
			return err
		}
	}
	if c.client {
		return c.configureClient(n, s)
	}
	return c.configureServer(n, s, early)
}

func (c *Conn) configureClient(n *native, s *cgnutls.Session) error {
	if _, err := netip.ParseAddr(c.serverName); err != nil && c.serverName != "" {
		if err := check("setting the server name", s.SetServerName(c.serverName)); err != nil {
			return err
		}
	}
	if n.pskClient != nil {
		return check("setting the pre-shared key", s.SetPSKClientCredentials(n.pskClient.c))
	}
	return nil
}

func (c *Conn) configureServer(n *native, s *cgnutls.Session, early bool) error {
	if c.config.ClientAuth != NoClientCert {
		s.RequestCertificate(c.config.ClientAuth.requires())
	}
	if n.pskServer != nil {
		if err := check("setting up pre-shared keys",
			s.SetPSKServerCredentials(n.pskServer.c)); err != nil {
			return err
		}
	}
	if c.config.SessionTicketsDisabled {
		return nil
	}
	s.LimitTickets(n.priority.p, uint8(n.maxTickets), c.config.LimitTickets != nil)
	if early {
		if err := c.acceptEarlyData(n.early, n.priority, s); err != nil {
			return err
		}
	}
	keys := c.handshaking.ticketKeys
	if c.handshaking.declines {
		s.DeclineTickets()
		keys = keys[:min(len(keys), 1)]
	}
	if len(keys) > 0 {
		return check("setting the ticket keys", s.EnableTicketKeys(keys))
	}
	return check("setting the ticket key", s.EnableTickets(n.ticketKey.key[:]))
}
