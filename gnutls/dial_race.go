package gnutls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Bounds of RFC 8305 section 5.
const (
	defaultAttemptDelay = 250 * time.Millisecond
	minAttemptDelay     = 10 * time.Millisecond
	maxAttemptDelay     = 2 * time.Second
)

// outcome is what became of an attempt.
type outcome struct {
	conn *Conn
	err  error
}

// race is DialContext over all addresses of a host.
func (d *Dialer) race(ctx context.Context, network, addr string) (*Conn, error) {
	delay := d.AttemptDelay
	if delay == 0 {
		delay = defaultAttemptDelay
	}
	if delay < minAttemptDelay || delay > maxAttemptDelay {
		return nil, fmt.Errorf("gnutls: Dialer.AttemptDelay is %v, which is not %v to %v", delay,
			minAttemptDelay, maxAttemptDelay)
	}
	addrs, err := d.addresses(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	host := hostOf(addr)
	outcomes := make(chan outcome, len(addrs))
	started := 0
	timer := time.NewTimer(delay)
	defer timer.Stop()
	start := func() {
		addr := addrs[started]
		started++
		timer.Reset(delay)
		go func() {
			conn, err := d.attempt(ctx, network, addr, host, len(addrs))
			if err != nil {
				err = fmt.Errorf("%s: %w", addr, err)
			}
			outcomes <- outcome{conn, err}
		}()
	}
	start()
	var failed []error
	for {
		select {
		case <-ctx.Done():
			go closeAll(outcomes, started-len(failed))
			return nil, ctx.Err()
		case <-timer.C:
			if started < len(addrs) {
				start()
			}
		case o := <-outcomes:
			if o.err == nil {
				go closeAll(outcomes, started-len(failed)-1)
				return o.conn, nil
			}
			failed = append(failed, o.err)
			switch {
			case ctx.Err() != nil:
			case started < len(addrs):
				start()
			case len(failed) == len(addrs):
				return nil, errors.Join(failed...)
			}
		}
	}
}

// closeAll closes what comes of n attempts.
func closeAll(outcomes <-chan outcome, n int) {
	for range n {
		if o := <-outcomes; o.conn != nil {
			o.conn.Close()
		}
	}
}

// addresses returns the addresses to try, in order.
func (d *Dialer) addresses(ctx context.Context, network, addr string) ([]string, error) {
	families := map[string]string{"tcp": "ip", "tcp4": "ip4", "tcp6": "ip6"}
	host, port, err := net.SplitHostPort(addr)
	if families[network] == "" || err != nil || host == "" {
		return []string{addr}, nil // net.Dialer knows what to do with it
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{addr}, nil // a look-up would lose its zone
	}
	resolver := net.DefaultResolver
	if d.NetDialer != nil && d.NetDialer.Resolver != nil {
		resolver = d.NetDialer.Resolver
	}
	ips, err := resolver.LookupNetIP(ctx, families[network], host)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	var list []string
	for _, ip := range interleave(ips) {
		list = append(list, net.JoinHostPort(ip.String(), port))
	}
	return list, nil
}

// interleave takes addresses of the two families in turn, beginning with that of
// the first (RFC 8305 section 4).
func interleave(ips []netip.Addr) []netip.Addr {
	var families [2][]netip.Addr
	for _, ip := range ips {
		ip = ip.Unmap()
		other := 0
		if ip.Is4() != ips[0].Unmap().Is4() {
			other = 1
		}
		families[other] = append(families[other], ip)
	}
	var list []netip.Addr
	for i := range max(len(families[0]), len(families[1])) {
		for _, family := range families {
			if i < len(family) {
				list = append(list, family[i])
			}
		}
	}
	return list
}
