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
	return s.do(ctx, MethodGet, path, nil, nil)
}

// Put creates or replaces a resource.
func (s *Session) Put(ctx context.Context, path string, format ContentFormat, body []byte) (*Response, error) {
	return s.do(ctx, MethodPut, path, &format, body)
}

// Post has the resource process the body.
func (s *Session) Post(ctx context.Context, path string, format ContentFormat, body []byte) (*Response, error) {
	return s.do(ctx, MethodPost, path, &format, body)
}

// Delete removes a resource.
func (s *Session) Delete(ctx context.Context, path string) (*Response, error) {
	return s.do(ctx, MethodDelete, path, nil, nil)
}

// Fetch asks for a part of a resource, which the body describes (RFC 8132,
// section 2).
func (s *Session) Fetch(ctx context.Context, path string, format ContentFormat, body []byte) (*Response, error) {
	return s.do(ctx, MethodFetch, path, &format, body)
}

// Patch changes a part of a resource (RFC 8132, section 3).
func (s *Session) Patch(ctx context.Context, path string, format ContentFormat, body []byte) (*Response, error) {
	return s.do(ctx, MethodPatch, path, &format, body)
}

// IPatch is an idempotent Patch (RFC 8132, section 3).
func (s *Session) IPatch(ctx context.Context, path string, format ContentFormat, body []byte) (*Response, error) {
	return s.do(ctx, MethodIPatch, path, &format, body)
}

func (s *Session) do(ctx context.Context, method Code, path string, format *ContentFormat, body []byte) (*Response, error) {
	r, err := NewRequest(method, path)
	if err != nil {
		return nil, err
	}
	if format != nil {
		r.Options.SetUint(OptionContentFormat, uint64(*format))
	}
	r.Body = body
	return s.Do(ctx, r)
}
