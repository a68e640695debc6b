package coap

import "strconv"

// A ContentFormat is the number of a media type (RFC 7252, section 12.3).
type ContentFormat uint16

// Content formats that IANA has registered.
const (
	TextPlain      ContentFormat = 0
	COSEEncrypt0   ContentFormat = 16 // RFC 9052, as are the other COSE formats
	COSEMac0       ContentFormat = 17
	COSESign1      ContentFormat = 18
	ACECBOR        ContentFormat = 19 // RFC 9200
	LinkFormat     ContentFormat = 40 // RFC 6690
	XML            ContentFormat = 41
	OctetStream    ContentFormat = 42
	EXI            ContentFormat = 47
	JSON           ContentFormat = 50
	JSONPatch      ContentFormat = 51 // RFC 6902
	MergePatch     ContentFormat = 52 // RFC 7396
	CBOR           ContentFormat = 60
	CWT            ContentFormat = 61 // RFC 8392
	MultipartCore  ContentFormat = 62 // RFC 8710
	CBORSequence   ContentFormat = 63 // RFC 8742
	COSEEncrypt    ContentFormat = 96
	COSEMac        ContentFormat = 97
	COSESign       ContentFormat = 98
	COSEKey        ContentFormat = 101
	COSEKeySet     ContentFormat = 102
	SenMLJSON      ContentFormat = 110 // RFC 8428, as are the other SenML formats
	SensMLJSON     ContentFormat = 111
	SenMLCBOR      ContentFormat = 112
	SensMLCBOR     ContentFormat = 113
	SenMLEXI       ContentFormat = 114
	SensMLEXI      ContentFormat = 115
	ProblemDetails ContentFormat = 257 // RFC 9290
	MissingBlocks  ContentFormat = 272 // RFC 9177
	SenMLXML       ContentFormat = 310
	SensMLXML      ContentFormat = 311
	SenMLETCHJSON  ContentFormat = 320 // RFC 8790
	SenMLETCHCBOR  ContentFormat = 322 // RFC 8790
)

var mediaTypes = map[ContentFormat]string{
	TextPlain:      "text/plain; charset=utf-8",
	COSEEncrypt0:   `application/cose; cose-type="cose-encrypt0"`,
	COSEMac0:       `application/cose; cose-type="cose-mac0"`,
	COSESign1:      `application/cose; cose-type="cose-sign1"`,
	ACECBOR:        "application/ace+cbor",
	LinkFormat:     "application/link-format",
	XML:            "application/xml",
	OctetStream:    "application/octet-stream",
	EXI:            "application/exi",
	JSON:           "application/json",
	JSONPatch:      "application/json-patch+json",
	MergePatch:     "application/merge-patch+json",
	CBOR:           "application/cbor",
	CWT:            "application/cwt",
	MultipartCore:  "application/multipart-core",
	CBORSequence:   "application/cbor-seq",
	COSEEncrypt:    `application/cose; cose-type="cose-encrypt"`,
	COSEMac:        `application/cose; cose-type="cose-mac"`,
	COSESign:       `application/cose; cose-type="cose-sign"`,
	COSEKey:        "application/cose-key",
	COSEKeySet:     "application/cose-key-set",
	SenMLJSON:      "application/senml+json",
	SensMLJSON:     "application/sensml+json",
	SenMLCBOR:      "application/senml+cbor",
	SensMLCBOR:     "application/sensml+cbor",
	SenMLEXI:       "application/senml-exi",
	SensMLEXI:      "application/sensml-exi",
	ProblemDetails: "application/concise-problem-details+cbor",
	MissingBlocks:  "application/missing-blocks+cbor-seq",
	SenMLXML:       "application/senml+xml",
	SensMLXML:      "application/sensml+xml",
	SenMLETCHJSON:  "application/senml-etch+json",
	SenMLETCHCBOR:  "application/senml-etch+cbor",
}

// String returns the media type, or the number if this package does not know the type.
func (f ContentFormat) String() string {
	if name, ok := mediaTypes[f]; ok {
		return name
	}
	return strconv.Itoa(int(f))
}
