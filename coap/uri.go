package coap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A URI names a resource (RFC 7252, section 6; RFC 8323, section 8).
type URI struct {
	Protocol Protocol
	Host     string   // a name in lower case, or an address without brackets
	Port     uint16   // 0 means the default of Protocol
	Path     []string // decoded; none for "/"
	Query    []string // decoded
}

// maxText is the largest number of bytes in a host, a path segment or a query argument: that of
// their options (RFC 7252, section 5.10).
const maxText = 255

// ParseURI parses an absolute URI with the scheme coap, coaps, coap+tcp or coaps+tcp. It decodes
// percent-encoded characters and resolves the path segments "." and "..". It returns an error,
// which says what is wrong, if the URI has another scheme, user information, a host that is empty
// or neither a name nor an address, a port that is not between 1 and 65535, a bad
// percent-encoding, a fragment, or a host, path segment or query argument of more than 255 bytes.
func ParseURI(uri string) (*URI, error) {
	scheme, rest, _ := strings.Cut(uri, ":")
	// The authority is empty unless "//" comes first.
	authority, reference := "", rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		authority = after
		if i := strings.IndexAny(after, "/?#"); i >= 0 {
			authority = after[:i]
		}
		reference = after[len(authority):]
	}
	if strings.Contains(authority, "@") {
		// The error does not quote the URI, which may contain a password.
		return nil, errors.New("coap: URI: user information is not allowed")
	}
	u, err := parseParts(scheme, authority, reference)
	if err != nil {
		return nil, fmt.Errorf("coap: URI %q: %w", uri, err)
	}
	return u, nil
}

func parseParts(scheme, authority, reference string) (u *URI, err error) {
	u = &URI{}
	var ok bool
	if u.Protocol, ok = schemes[strings.ToLower(scheme)]; !ok {
		return nil, errors.New("the scheme is none of coap, coaps, coap+tcp, coaps+tcp")
	}
	// The last colon precedes the port, unless it is inside brackets.
	host, port := authority, ""
	switch bracket := strings.HasPrefix(host, "["); {
	case bracket && !strings.Contains(host, "]"):
		return nil, fmt.Errorf("host %q is not an IPv6 address", host)
	case !bracket && strings.Count(host, ":") > 1:
		return nil, fmt.Errorf("host %q is neither a name nor an address: one of IPv6 stands in brackets",
			host)
	}
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], host[i+1:]
	}
	if u.Host, err = parseHost(host); err != nil {
		return nil, err
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("port %q is not one of 1 to 65535", port)
		}
		u.Port = uint16(n)
	}
	u.Path, u.Query, err = splitReference(reference)
	return u, err
}

// parseHost returns a name, decoded, or the normal form of an address in brackets.
func parseHost(s string) (host string, err error) {
	switch {
	case s == "":
		return "", errors.New("no host")
	case s[0] == '[':
		host, err = parseLiteral(s)
	default:
		host, err = parseName(s)
	}
	switch {
	case err != nil:
		return "", err
	case len(host) > maxText:
		return "", fmt.Errorf("the host has %d bytes, more than %d", len(host), maxText)
	case strings.ContainsFunc(host, isControl) || strings.Contains(host, " "):
		return "", fmt.Errorf("host %q has a space, a NUL or another control character", host)
	}
	return host, nil
}

func parseName(s string) (string, error) {
	name, err := url.PathUnescape(s)
	if err != nil {
		return "", fmt.Errorf("host %q: %w", s, err)
	}
	if strings.ContainsAny(name, ":/?#[]@") || !utf8.ValidString(name) {
		return "", fmt.Errorf("host %q is neither a name nor an address", s)
	}
	return strings.Map(lower, name), nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// lower converts ASCII letters only (RFC 7252, section 6.4).
func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r - 'A' + 'a'
	}
	return r
}

// parseLiteral parses an IPv6 address in brackets. The "%" before a zone is itself percent-encoded
// (RFC 6874), or not, as in the URIs of many programs.
func parseLiteral(s string) (string, error) {
	literal, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return "", fmt.Errorf("host %q is not an IPv6 address", s)
	}
	address, zone, hasZone := strings.Cut(literal, "%")
	if encoded, ok := strings.CutPrefix(zone, "25"); ok {
		decoded, err := url.PathUnescape(encoded)
		if err != nil {
			return "", fmt.Errorf("host %q: %w", s, err)
		}
		zone = decoded
	}
	if hasZone {
		address += "%" + zone
	}
	ip, err := netip.ParseAddr(address)
	if err != nil || !ip.Is6() {
		return "", fmt.Errorf("host %q is not an IPv6 address", s)
	}
	return ip.String(), nil
}

// splitReference splits and decodes a path with an optional query.
func splitReference(reference string) (segments, arguments []string, err error) {
	if strings.Contains(reference, "#") {
		return nil, nil, errors.New("a fragment is not allowed")
	}
	path, query, hasQuery := strings.Cut(reference, "?")
	if segments, err = splitPath(path); err != nil {
		return nil, nil, err
	}
	if hasQuery {
		if arguments, err = unescape("query argument", strings.Split(query, "&")); err != nil {
			return nil, nil, err
		}
	}
	return segments, arguments, nil
}

// splitPath returns the segments of a path without "." and ".." (RFC 3986, section
// 5.2.4).
func splitPath(path string) ([]string, error) {
	parts, err := unescape("path segment", strings.Split(strings.TrimPrefix(path, "/"), "/"))
	if err != nil {
		return nil, err
	}
	var segments []string
	for i, part := range parts {
		switch part {
		case "..":
			segments = segments[:max(len(segments)-1, 0)]
		case ".":
		default:
			segments = append(segments, part)
			continue
		}
		if i == len(parts)-1 { // the result ends with "/"
			segments = append(segments, "")
		}
	}
	if slices.Equal(segments, []string{""}) { // "/"
		return nil, nil
	}
	return segments, nil
}

func unescape(what string, parts []string) ([]string, error) {
	for i, part := range parts {
		if strings.ContainsFunc(part, isControl) {
			return nil, fmt.Errorf("%s %q has a control character that is not percent-encoded", what, part)
		}
		decoded, err := url.PathUnescape(part)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", what, part, err)
		}
		if len(decoded) > maxText {
			return nil, fmt.Errorf("a %s has %d bytes, more than %d", what, len(decoded), maxText)
		}
		parts[i] = decoded
	}
	return parts, nil
}

// setReference sets the path and the query from their form in a URI.
func (o *Options) setReference(reference string) error {
	segments, arguments, err := splitReference(reference)
	if err != nil {
		return fmt.Errorf("coap: path %q: %w", reference, err)
	}
	o.setTexts(OptionURIPath, segments)
	o.setTexts(OptionURIQuery, arguments)
	return nil
}

// Options returns the options of a request for the resource: the path, the query, and the host if
// it is a name (RFC 7252, section 6.4). The port is that of the session.
func (u *URI) Options() Options {
	var o Options
	if _, err := netip.ParseAddr(u.Host); err != nil {
		o.AddString(OptionURIHost, u.Host)
	}
	o.setTexts(OptionURIPath, u.Path)
	o.setTexts(OptionURIQuery, u.Query)
	return o
}

// Address returns host and port in the form that package net takes.
func (u *URI) Address() string {
	return net.JoinHostPort(u.Host, strconv.Itoa(int(orDefault(u.Port, u.Protocol.DefaultPort()))))
}

// String returns the URI in its normal form (RFC 7252, section 6.5).
func (u *URI) String() string {
	var b strings.Builder
	b.WriteString(u.Protocol.Scheme() + "://")
	if strings.Contains(u.Host, ":") {
		address, zone, hasZone := strings.Cut(u.Host, "%")
		b.WriteString("[" + address)
		if hasZone {
			b.WriteString("%25")
			escape(&b, zone, "")
		}
		b.WriteByte(']')
	} else {
		escape(&b, u.Host, "&")
	}
	if u.Port != 0 && u.Port != u.Protocol.DefaultPort() {
		b.WriteString(":" + strconv.Itoa(int(u.Port)))
	}
	b.WriteString(joinPath(u.Path))
	for i, argument := range u.Query {
		b.WriteByte("?&"[min(i, 1)])
		escape(&b, argument, ":@/?")
	}
	return b.String()
}

func joinPath(segments []string) string {
	if len(segments) == 0 {
		return "/"
	}
	var b strings.Builder
	for _, segment := range segments {
		b.WriteByte('/')
		escape(&b, segment, ":@&")
	}
	return b.String()
}

// escape writes s and percent-encodes all bytes except those in more and those that never need it
// in a host, a path or a query: the unreserved ones and the sub-delims of RFC 3986 without "&".
func escape(b *strings.Builder, s, more string) {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$'()*+,;="
	for i := range len(s) {
		if c := s[i]; strings.IndexByte(plain, c) >= 0 || strings.IndexByte(more, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(b, "%%%02X", c)
		}
	}
}
