package coap

import "strconv"

// A ContentFormat is the number of a media type (RFC 7252, section 12.3).
type ContentFormat uint16

// Formats that IANA has registered.
const (
	TextPlain      ContentFormat = 0
	LinkFormat     ContentFormat = 40 // RFC 6690
	XML            ContentFormat = 41
	OctetStream    ContentFormat = 42
	EXI            ContentFormat = 47
	JSON           ContentFormat = 50
	JSONPatch      ContentFormat = 51
	MergePatch     ContentFormat = 52
	CBOR           ContentFormat = 60
	CWT            ContentFormat = 61
	CBORSequence   ContentFormat = 63
	COSEEncrypt0   ContentFormat = 16
	COSEMac0       ContentFormat = 17
	COSESign1      ContentFormat = 18
	SenMLJSON      ContentFormat = 110
	SenMLCBOR      ContentFormat = 112
	SenMLXML       ContentFormat = 310
	ProblemDetails ContentFormat = 257 // RFC 9290
)

var mediaTypes = map[ContentFormat]string{
	TextPlain:      "text/plain; charset=utf-8",
	LinkFormat:     "application/link-format",
	XML:            "application/xml",
	OctetStream:    "application/octet-stream",
	EXI:            "application/exi",
	JSON:           "application/json",
	JSONPatch:      "application/json-patch+json",
	MergePatch:     "application/merge-patch+json",
	CBOR:           "application/cbor",
	CWT:            "application/cwt",
	CBORSequence:   "application/cbor-seq",
	COSEEncrypt0:   `application/cose; cose-type="cose-encrypt0"`,
	COSEMac0:       `application/cose; cose-type="cose-mac0"`,
	COSESign1:      `application/cose; cose-type="cose-sign1"`,
	SenMLJSON:      "application/senml+json",
	SenMLCBOR:      "application/senml+cbor",
	SenMLXML:       "application/senml+xml",
	ProblemDetails: "application/concise-problem-details+cbor",
}

// String returns the media type, or the number of one that has no name here.
func (f ContentFormat) String() string {
	if name, ok := mediaTypes[f]; ok {
		return name
	}
	return strconv.Itoa(int(f))
}
