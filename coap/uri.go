package coap

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// A URI names a resource (RFC 7252, section 6; RFC 8323, section 8).
type URI struct {
	Protocol Protocol
	Host     string   // a name in lower case, or an address without brackets
	Port     uint16   // 0 means the default of Protocol
	Path     []string // decoded; none for "/"
	Query    []string // decoded
}

// ParseURI parses an absolute URI with one of the schemes coap, coaps, coap+tcp
// and coaps+tcp.
func ParseURI(uri string) (*URI, error) {
	failed := func(format string, args ...any) (*URI, error) {
		return nil, fmt.Errorf("coap: URI %q: %s", uri, fmt.Sprintf(format, args...))
	}
	parsed, err := url.Parse(uri)
	if err != nil {
		return failed("%v", err.(*url.Error).Err)
	}
	proto, ok := schemes[parsed.Scheme]
	switch {
	case !ok:
		return failed("the scheme is none of coap, coaps, coap+tcp, coaps+tcp")
	case parsed.Opaque != "" || parsed.Host == "":
		return failed("no host")
	case parsed.User != nil:
		return failed("user information is not allowed")
	case strings.Contains(uri, "#"):
		return failed("a fragment is not allowed")
	}
	u := &URI{Protocol: proto, Host: strings.ToLower(parsed.Hostname())}
	if problem := checkHost(u.Host); problem != "" {
		return failed("%s", problem)
	}
	if port := parsed.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return failed("port %q is not one of 0 to 65535", port)
		}
		u.Port = uint16(n)
	}
	if u.Path, u.Query, err = splitReference(parsed.EscapedPath(), parsed.RawQuery, parsed.ForceQuery); err != nil {
		return failed("%v", err)
	}
	return u, nil
}

func checkHost(host string) (problem string) {
	switch {
	case host == "":
		return "no host"
	case len(host) > 255:
		return fmt.Sprintf("the host has %d bytes, more than 255", len(host))
	case strings.ContainsAny(host, "\x00 "):
		return "the host has a space or a NUL"
	}
	return ""
}

// splitReference splits and decodes path and query.
func splitReference(path, query string, hasQuery bool) (segments, arguments []string, err error) {
	if path = strings.TrimPrefix(path, "/"); path != "" {
		if segments, err = unescape("path segment", strings.Split(path, "/")); err != nil {
			return nil, nil, err
		}
	}
	if query != "" || hasQuery {
		if arguments, err = unescape("query argument", strings.Split(query, "&")); err != nil {
			return nil, nil, err
		}
	}
	return segments, arguments, nil
}

func unescape(what string, parts []string) ([]string, error) {
	for i, part := range parts {
		decoded, err := url.PathUnescape(part)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %v", what, part, err)
		}
		if len(decoded) > 255 {
			return nil, fmt.Errorf("a %s has %d bytes, more than 255", what, len(decoded))
		}
		parts[i] = decoded
	}
	return parts, nil
}

// setReference sets the path and the query as they stand in a URI.
func (o *Options) setReference(reference string) error {
	path, query, hasQuery := strings.Cut(reference, "?")
	if strings.Contains(reference, "#") {
		return fmt.Errorf("coap: path %q: a fragment is not allowed", reference)
	}
	segments, arguments, err := splitReference(path, query, hasQuery)
	if err != nil {
		return fmt.Errorf("coap: path %q: %v", reference, err)
	}
	o.setPath(segments, arguments)
	return nil
}

func (o *Options) setPath(segments, arguments []string) {
	o.Remove(OptionURIPath)
	for _, segment := range segments {
		o.AddString(OptionURIPath, segment)
	}
	o.Remove(OptionURIQuery)
	for _, argument := range arguments {
		o.AddString(OptionURIQuery, argument)
	}
}

// Options returns the options of a request for the resource: the path, the query,
// and the host where it is a name (RFC 7252, section 6.4). The port is that of the
// session.
func (u *URI) Options() Options {
	var o Options
	if _, err := netip.ParseAddr(u.Host); err != nil {
		o.AddString(OptionURIHost, u.Host)
	}
	o.setPath(u.Path, u.Query)
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
		b.WriteString("[" + strings.ReplaceAll(u.Host, "%", "%25") + "]")
	} else {
		b.WriteString(escape(u.Host, ""))
	}
	if u.Port != 0 && u.Port != u.Protocol.DefaultPort() {
		b.WriteString(":" + strconv.Itoa(int(u.Port)))
	}
	b.WriteString(joinPath(u.Path))
	for i, argument := range u.Query {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString(escape(argument, ":@/?"))
	}
	return b.String()
}

func joinPath(segments []string) string {
	if len(segments) == 0 {
		return "/"
	}
	var b strings.Builder
	for _, segment := range segments {
		b.WriteString("/" + escape(segment, ":@&"))
	}
	return b.String()
}

// escape encodes all bytes but those that RFC 3986 never needs encoded, and more.
func escape(s, more string) string {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$'()*+,;="
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; strings.IndexByte(unreserved, c) >= 0 || strings.IndexByte(more, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Path returns the path of a request, such as "/sensors/1": "/" where it has none.
// What a segment has of "/" and other characters that are not its own is
// percent-encoded.
func (o Options) Path() string { return joinPath(o.texts(OptionURIPath)) }

// PathSegments returns the segments of the path of a request.
func (o Options) PathSegments() []string { return o.texts(OptionURIPath) }

// Queries returns the arguments of the query of a request.
func (o Options) Queries() []string { return o.texts(OptionURIQuery) }

func (o Options) texts(id OptionID) (texts []string) {
	for value := range o.All(id) {
		texts = append(texts, string(value))
	}
	return texts
}

// ETags returns the values of all ETag options.
func (o Options) ETags() (tags [][]byte) {
	for value := range o.All(OptionETag) {
		tags = append(tags, value)
	}
	return tags
}
