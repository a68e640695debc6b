package gnutls

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// newPriority parses the priorities with the bounds on the version. added is allowed
// in addition to the system's default. datagram applies the bounds to DTLS too.
func (c *Config) newPriority(added []string, client, datagram bool) (*priority, error) {
	for _, bound := range []struct {
		field   string
		version uint16
	}{{"MinVersion", c.MinVersion}, {"MaxVersion", c.MaxVersion}} {
		if bound.version != 0 && (bound.version < VersionTLS10 || bound.version > VersionTLS13) {
			return nil, fmt.Errorf("gnutls: Config.%s is 0x%04x, which is not a version of TLS", bound.field,
				bound.version)
		}
	}
	if i := strings.IndexByte(c.Priority, 0); i >= 0 {
		return nil, fmt.Errorf("gnutls: Config.Priority holds a NUL byte at byte %d", i)
	}
	lowest := c.MinVersion
	if lowest == 0 && c.Priority == "" {
		lowest = VersionTLS12
	}
	var changes []string
	for _, v := range versions {
		if v.wire < lowest || c.MaxVersion != 0 && v.wire > c.MaxVersion {
			changes = append(changes, "-"+v.priority)
			if datagram && v.datagram != "" {
				changes = append(changes, "-"+v.datagram)
			}
		}
	}
	if c.Priority == "" {
		changes = append(changes, added...)
	}
	s := strings.Join(changes, ":")
	if c.Priority != "" && s != "" {
		s = c.Priority + ":" + s
	} else if c.Priority != "" {
		s = c.Priority
	}
	p, pos, code := cgnutls.NewPriority(s, c.Priority == "")
	if code < 0 {
		return nil, priorityError(c.Priority, s, pos, code)
	}
	if client && c.PSKIdentity == "" && !p.NamesPSK() {
		// Makes GnuTLS offer psk_dhe_ke alone.
		if with, _, code := cgnutls.NewPriority(strings.TrimPrefix(s+":+ECDHE-PSK", ":"),
			c.Priority == ""); code >= 0 {
			p.Free()
			p = with
		}
	}
	pr := &priority{p}
	runtime.AddCleanup(pr, (*cgnutls.Priority).Free, p)
	allowed := p.Protocols()
	if !slices.ContainsFunc(allowed, func(v uint16) bool { return v != 0 }) {
		return nil, priorityError("", "", 0, cgnutls.NoPriorities)
	}
	return pr, nil
}

// pskExchanges returns the key exchanges for pre-shared keys, which the default lacks.
func pskExchanges(psk bool) []string {
	if psk {
		return []string{"+ECDHE-PSK", "+DHE-PSK"}
	}
	return nil
}

func priorityError(given, s string, pos int, code cgnutls.Code) error {
	e := &Error{Op: "setting the priorities", Code: ErrorCode(code)}
	switch {
	case code == cgnutls.NoPriorities:
		e.Err = fmt.Errorf("Config.Priority, MinVersion and MaxVersion leave nothing to negotiate: %w",
			e.Code)
	case given != "":
		e.Err = fmt.Errorf("Config.Priority is wrong at byte %d, %q: %w", pos,
			s[pos:min(len(s), len(given))], e.Code)
	}
	return e
}
