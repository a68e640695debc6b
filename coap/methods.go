package coap

import "context"

// NewRequest returns a request for a path with an optional query, such as
// "/sensors/1?unit=C": absolute or not, in the form that it has in a URI.
func NewRequest(method Code, path string) (*Request, error) {
	r := &Request{Method: method}
	if err := r.Options.setReference(path); err != nil {
		return nil, err
	}
	return r, nil
}

// Get asks for the representation of a resource. For the path see NewRequest, and
// for the result Do.
func (s *Session) Get(ctx context.Context, path string) (*Response, error) {
	return bare(ctx, s, MethodGet, path)
}

// Put creates or replaces a resource.
func (s *Session) Put(ctx context.Context, path string, format ContentFormat,
	body []byte) (*Response, error) {
	return withBody(ctx, s, MethodPut, path, format, body)
}

// Post has the resource process the body.
func (s *Session) Post(ctx context.Context, path string, format ContentFormat,
	body []byte) (*Response, error) {
	return withBody(ctx, s, MethodPost, path, format, body)
}

// Delete removes a resource.
func (s *Session) Delete(ctx context.Context, path string) (*Response, error) {
	return bare(ctx, s, MethodDelete, path)
}

// Fetch asks for a part of a resource, which the body describes (RFC 8132,
// section 2).
func (s *Session) Fetch(ctx context.Context, path string, format ContentFormat,
	body []byte) (*Response, error) {
	return withBody(ctx, s, MethodFetch, path, format, body)
}

// Patch changes a part of a resource (RFC 8132, section 3).
func (s *Session) Patch(ctx context.Context, path string, format ContentFormat,
	body []byte) (*Response, error) {
	return withBody(ctx, s, MethodPatch, path, format, body)
}

// IPatch is an idempotent Patch (RFC 8132, section 3).
func (s *Session) IPatch(ctx context.Context, path string, format ContentFormat,
	body []byte) (*Response, error) {
	return withBody(ctx, s, MethodIPatch, path, format, body)
}

// Get is Session.Get in the session that there is, or a new one. So are the others.
func (c *Client) Get(ctx context.Context, path string) (*Response, error) {
	return bare(ctx, c, MethodGet, path)
}

// Put is Session.Put.
func (c *Client) Put(ctx context.Context, path string, format ContentFormat,
	body []byte) (*Response, error) {
	return withBody(ctx, c, MethodPut, path, format, body)
}

// Post is Session.Post.
func (c *Client) Post(ctx context.Context, path string, format ContentFormat,
	body []byte) (*Response, error) {
	return withBody(ctx, c, MethodPost, path, format, body)
}

// Delete is Session.Delete.
func (c *Client) Delete(ctx context.Context, path string) (*Response, error) {
	return bare(ctx, c, MethodDelete, path)
}

// Fetch is Session.Fetch.
func (c *Client) Fetch(ctx context.Context, path string, format ContentFormat,
	body []byte) (*Response, error) {
	return withBody(ctx, c, MethodFetch, path, format, body)
}

// Patch is Session.Patch.
func (c *Client) Patch(ctx context.Context, path string, format ContentFormat,
	body []byte) (*Response, error) {
	return withBody(ctx, c, MethodPatch, path, format, body)
}

// IPatch is Session.IPatch.
func (c *Client) IPatch(ctx context.Context, path string, format ContentFormat,
	body []byte) (*Response, error) {
	return withBody(ctx, c, MethodIPatch, path, format, body)
}

// A doer is a Session or a Client.
type doer interface {
	Do(ctx context.Context, r *Request) (*Response, error)
}

func bare(ctx context.Context, d doer, method Code, path string) (*Response, error) {
	r, err := NewRequest(method, path)
	if err != nil {
		return nil, err
	}
	return d.Do(ctx, r)
}

func withBody(ctx context.Context, d doer, method Code, path string, format ContentFormat,
	body []byte) (*Response, error) {
	r, err := NewRequest(method, path)
	if err != nil {
		return nil, err
	}
	r.Options.SetContentFormat(format)
	r.Body = body
	return d.Do(ctx, r)
}
