package coap

import "fmt"

// A Code is the code of a message: the method of a request, or the result in a response. It is
// written as class.detail, such as 2.05 (RFC 7252, section 3).
type Code uint8

// The empty message, and the methods (RFC 7252, section 5.8; RFC 8132).
const (
	CodeEmpty    Code = 0
	MethodGet    Code = 1
	MethodPost   Code = 2
	MethodPut    Code = 3
	MethodDelete Code = 4
	MethodFetch  Code = 5
	MethodPatch  Code = 6
	MethodIPatch Code = 7
)

// Codes of responses that IANA has registered.
const (
	CodeCreated  Code = 2<<5 | 1
	CodeDeleted  Code = 2<<5 | 2
	CodeValid    Code = 2<<5 | 3
	CodeChanged  Code = 2<<5 | 4
	CodeContent  Code = 2<<5 | 5
	CodeContinue Code = 2<<5 | 31

	CodeBadRequest               Code = 4 << 5
	CodeUnauthorized             Code = 4<<5 | 1
	CodeBadOption                Code = 4<<5 | 2
	CodeForbidden                Code = 4<<5 | 3
	CodeNotFound                 Code = 4<<5 | 4
	CodeMethodNotAllowed         Code = 4<<5 | 5
	CodeNotAcceptable            Code = 4<<5 | 6
	CodeRequestEntityIncomplete  Code = 4<<5 | 8
	CodeConflict                 Code = 4<<5 | 9
	CodePreconditionFailed       Code = 4<<5 | 12
	CodeRequestEntityTooLarge    Code = 4<<5 | 13
	CodeUnsupportedContentFormat Code = 4<<5 | 15
	CodeUnprocessableEntity      Code = 4<<5 | 22
	CodeTooManyRequests          Code = 4<<5 | 29

	CodeInternalServerError  Code = 5 << 5
	CodeNotImplemented       Code = 5<<5 | 1
	CodeBadGateway           Code = 5<<5 | 2
	CodeServiceUnavailable   Code = 5<<5 | 3
	CodeGatewayTimeout       Code = 5<<5 | 4
	CodeProxyingNotSupported Code = 5<<5 | 5
	CodeHopLimitReached      Code = 5<<5 | 8
)

// Codes of the signalling messages of reliable transports (RFC 8323, section 5).
const (
	CodeCSM     Code = 7<<5 | 1
	CodePing    Code = 7<<5 | 2
	CodePong    Code = 7<<5 | 3
	CodeRelease Code = 7<<5 | 4
	CodeAbort   Code = 7<<5 | 5
)

var codeNames = map[Code]string{
	CodeEmpty:    "Empty",
	MethodGet:    "GET",
	MethodPost:   "POST",
	MethodPut:    "PUT",
	MethodDelete: "DELETE",
	MethodFetch:  "FETCH",
	MethodPatch:  "PATCH",
	MethodIPatch: "iPATCH",

	CodeCreated:  "Created",
	CodeDeleted:  "Deleted",
	CodeValid:    "Valid",
	CodeChanged:  "Changed",
	CodeContent:  "Content",
	CodeContinue: "Continue",

	CodeBadRequest:               "Bad Request",
	CodeUnauthorized:             "Unauthorized",
	CodeBadOption:                "Bad Option",
	CodeForbidden:                "Forbidden",
	CodeNotFound:                 "Not Found",
	CodeMethodNotAllowed:         "Method Not Allowed",
	CodeNotAcceptable:            "Not Acceptable",
	CodeRequestEntityIncomplete:  "Request Entity Incomplete",
	CodeConflict:                 "Conflict",
	CodePreconditionFailed:       "Precondition Failed",
	CodeRequestEntityTooLarge:    "Request Entity Too Large",
	CodeUnsupportedContentFormat: "Unsupported Content-Format",
	CodeUnprocessableEntity:      "Unprocessable Entity",
	CodeTooManyRequests:          "Too Many Requests",

	CodeInternalServerError:  "Internal Server Error",
	CodeNotImplemented:       "Not Implemented",
	CodeBadGateway:           "Bad Gateway",
	CodeServiceUnavailable:   "Service Unavailable",
	CodeGatewayTimeout:       "Gateway Timeout",
	CodeProxyingNotSupported: "Proxying Not Supported",
	CodeHopLimitReached:      "Hop Limit Reached",

	CodeCSM:     "CSM",
	CodePing:    "Ping",
	CodePong:    "Pong",
	CodeRelease: "Release",
	CodeAbort:   "Abort",
}

// String returns the name of a method, such as "GET". For other codes it returns the number, and
// the name if there is one, such as "2.05 Content".
func (c Code) String() string {
	name := codeNames[c]
	switch {
	case c.IsRequest() && name != "":
		return name
	case name != "":
		return fmt.Sprintf("%d.%02d %s", c.Class(), c.Detail(), name)
	}
	return fmt.Sprintf("%d.%02d", c.Class(), c.Detail())
}

// Class returns the number before the point: 0 for requests, 2 for success, 4 for errors of the
// client, 5 for errors of the server, 7 for signalling messages.
func (c Code) Class() int { return int(c >> 5) }

// Detail returns the number after the point.
func (c Code) Detail() int { return int(c & 31) }

// IsRequest reports whether c is a method.
func (c Code) IsRequest() bool { return c.Class() == 0 && c != CodeEmpty }

// IsResponse reports whether c is the code of a response (2.00 to 5.31).
func (c Code) IsResponse() bool { return c.Class() >= 2 && c.Class() <= 5 }

// IsSuccess reports whether c says that a request succeeded (2.xx).
func (c Code) IsSuccess() bool { return c.Class() == 2 }
