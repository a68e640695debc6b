package coap

import "strconv"

// An OptionID is the number of an option.
type OptionID uint16

// Options that IANA has registered.
const (
	OptionIfMatch       OptionID = 1
	OptionURIHost       OptionID = 3
	OptionETag          OptionID = 4
	OptionIfNoneMatch   OptionID = 5
	OptionObserve       OptionID = 6 // RFC 7641
	OptionURIPort       OptionID = 7
	OptionLocationPath  OptionID = 8
	OptionOSCORE        OptionID = 9 // RFC 8613
	OptionURIPath       OptionID = 11
	OptionContentFormat OptionID = 12
	OptionMaxAge        OptionID = 14
	OptionURIQuery      OptionID = 15
	OptionHopLimit      OptionID = 16 // RFC 8768
	OptionAccept        OptionID = 17
	OptionQBlock1       OptionID = 19 // RFC 9177
	OptionLocationQuery OptionID = 20
	OptionEDHOC         OptionID = 21 // RFC 9668
	OptionBlock2        OptionID = 23 // RFC 7959
	OptionBlock1        OptionID = 27 // RFC 7959
	OptionSize2         OptionID = 28 // RFC 7959
	OptionQBlock2       OptionID = 31 // RFC 9177
	OptionProxyURI      OptionID = 35
	OptionProxyScheme   OptionID = 39
	OptionSize1         OptionID = 60  // RFC 7252, RFC 7959
	OptionEcho          OptionID = 252 // RFC 9175
	OptionNoResponse    OptionID = 258 // RFC 7967
	OptionRequestTag    OptionID = 292 // RFC 9175
)

// A definition says what an option is called, which lengths its value may have, and whether it
// may occur more than once (RFC 7252, table 4).
type definition struct {
	name       string
	min, max   int
	repeatable bool
}

var definitions = map[OptionID]definition{
	OptionIfMatch:       {"If-Match", 0, 8, true},
	OptionURIHost:       {"Uri-Host", 1, 255, false},
	OptionETag:          {"ETag", 1, 8, true},
	OptionIfNoneMatch:   {"If-None-Match", 0, 0, false},
	OptionObserve:       {"Observe", 0, 3, false},
	OptionURIPort:       {"Uri-Port", 0, 2, false},
	OptionLocationPath:  {"Location-Path", 0, 255, true},
	OptionOSCORE:        {"OSCORE", 0, 255, false},
	OptionURIPath:       {"Uri-Path", 0, 255, true},
	OptionContentFormat: {"Content-Format", 0, 2, false},
	OptionMaxAge:        {"Max-Age", 0, 4, false},
	OptionURIQuery:      {"Uri-Query", 0, 255, true},
	OptionHopLimit:      {"Hop-Limit", 1, 1, false},
	OptionAccept:        {"Accept", 0, 2, false},
	OptionQBlock1:       {"Q-Block1", 0, 3, false},
	OptionLocationQuery: {"Location-Query", 0, 255, true},
	OptionEDHOC:         {"EDHOC", 0, 0, false},
	OptionBlock2:        {"Block2", 0, 3, false},
	OptionBlock1:        {"Block1", 0, 3, false},
	OptionSize2:         {"Size2", 0, 4, false},
	OptionQBlock2:       {"Q-Block2", 0, 3, true},
	OptionProxyURI:      {"Proxy-Uri", 1, 1034, false},
	OptionProxyScheme:   {"Proxy-Scheme", 1, 255, false},
	OptionSize1:         {"Size1", 0, 4, false},
	OptionEcho:          {"Echo", 1, 40, false},
	OptionNoResponse:    {"No-Response", 0, 1, false},
	OptionRequestTag:    {"Request-Tag", 0, 8, true},
}

// maxOption is the largest number of bytes that the value of an undefined option may have. The
// format of messages has room for 269 more.
const maxOption = 65535

func (id OptionID) definition() definition {
	if d, ok := definitions[id]; ok {
		return d
	}
	return definition{"", 0, maxOption, true}
}

// String returns the name of the option, such as "Uri-Path", or "option 65000".
func (id OptionID) String() string {
	if name := id.definition().name; name != "" {
		return name
	}
	return "option " + strconv.Itoa(int(id))
}

// Critical reports whether a recipient that does not know the option must refuse the message
// (RFC 7252, section 5.4.1).
func (id OptionID) Critical() bool { return id&1 != 0 }

// UnsafeToForward reports whether a proxy that does not know the option must not
// forward the message (RFC 7252, section 5.4.2).
func (id OptionID) UnsafeToForward() bool { return id&2 != 0 }
