package coap

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"weak"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/bridge"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/cshim/tlsref"
)

// A priority is what the sessions of a context may have.
type priority struct {
	p, hint *cgnutls.Priority // hint: for clients that answer the hints of TLS 1.2
	pki     *cgnutls.Priority // for clients without a pre-shared key
	owners  []bridge.Priority
}

func (p *priority) refs() (all, hint tlsref.Priority) {
	if p.hint != nil {
		hint = p.hint.Ref()
	}
	return p.p.Ref(), hint
}

// What CoAP asks for beyond the usual default: key exchanges with pre-shared keys, the ciphers of
// small devices, and raw public keys. PSK, without a key exchange, is also what a client offers to
// resume with: those that need it for no more leave it out.
var (
	pkiPriorities  = []string{"+ECDHE-PSK", "+AES-128-CCM-8", "+CTYPE-CLI-ALL", "+CTYPE-SRV-ALL"}
	coapPriorities = append(slices.Clone(pkiPriorities), "+PSK")
)

// checkPriority names what is wrong with the versions and the priorities, but for their syntax.
func (c *Config) checkPriority() error {
	for _, bound := range []struct {
		field   string
		version uint16
	}{{"MinVersion", c.MinVersion}, {"MaxVersion", c.MaxVersion}} {
		if bound.version != 0 &&
			(bound.version < gnutls.VersionTLS10 || bound.version > gnutls.VersionTLS13) {
			return fmt.Errorf("%s is 0x%04x, not a version of TLS", "Config."+bound.field, bound.version)
		}
	}
	if i := strings.IndexByte(c.Priority, 0); i >= 0 {
		return fmt.Errorf("Config.Priority holds a NUL byte at byte %d", i)
	}
	return need(FeatureCredentials, "Config.MinVersion, MaxVersion or Priority", c.setsPriority())
}

func (c *Config) setsPriority() bool {
	return c.MinVersion != 0 || c.MaxVersion != 0 || c.Priority != ""
}

// preparePriority makes what the sessions of the context may have.
func (l *loop) preparePriority() (err error) {
	switch {
	case !Supports(FeatureCredentials):
	case !l.config.setsPriority() && l.config.PSK.ForHint == nil:
		l.credentials.priority, err = usualPriorities.get()
	default:
		l.credentials.priority, err = newPriority(&l.config)
	}
	return err
}

// usualPriorities is what contexts share whose Config says nothing of it, while there are any.
var usualPriorities sharedPriority

type sharedPriority struct {
	mu sync.Mutex // guards p
	p  weak.Pointer[priority]
}

func (s *sharedPriority) get() (*priority, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.p.Value(); p != nil {
		return p, nil
	}
	p, err := newPriority(&Config{})
	if err == nil {
		s.p = weak.Make(p)
	}
	return p, err
}

func newPriority(c *Config) (*priority, error) {
	config := bridge.PriorityConfig{
		MinVersion: c.MinVersion,
		MaxVersion: c.MaxVersion,
		Priority:   c.Priority,
		Added:      coapPriorities,
	}
	p := &priority{}
	add := func(config bridge.PriorityConfig) (*cgnutls.Priority, error) {
		owner, err := bridge.Lent.Priority(config)
		if err != nil {
			return nil, err
		}
		p.owners = append(p.owners, owner)
		return owner.Native(), nil
	}
	var err error
	if p.p, err = add(config); err != nil {
		return nil, err
	}
	pki := config
	pki.Added, pki.Client = pkiPriorities, true
	if p.pki, err = add(pki); err != nil {
		return nil, err
	}
	if c.PSK.ForHint == nil {
		return p, nil
	}
	config.MaxVersion = gnutls.VersionTLS12
	if c.MaxVersion != 0 {
		config.MaxVersion = min(config.MaxVersion, c.MaxVersion)
	}
	p.hint, err = add(config)
	return p, err
}
