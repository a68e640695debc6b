#include <string.h>

#include "fix_options.h"
#include "identity.h"
#include "interpose.h"

enum { HEADER = 4, MAX_TOKEN = 8, PAYLOAD = 0xff, URI_QUERY = 15, BLOCK1 = 27 };

typedef int parse_function(coap_proto_t proto, const uint8_t *data, size_t length, coap_pdu_t *pdu);

/* The lengths that values may have (RFC 7252, table 4, and the RFCs of the others). */
static const struct {
	uint16_t number, min, max;
} lengths[] = {
	{1, 0, 8},   {3, 1, 255}, {4, 1, 8},	 {5, 0, 0},    {6, 0, 3},  {7, 0, 2},
	{8, 0, 255}, {9, 0, 255}, {11, 0, 255},	 {12, 0, 2},   {14, 0, 4}, {15, 1, 255},
	{16, 1, 1},  {17, 0, 2},  {19, 0, 3},	 {20, 0, 255}, {23, 0, 3}, {27, 0, 3},
	{28, 0, 4},  {31, 0, 3},  {35, 1, 1034}, {39, 1, 255}, {60, 0, 4}, {252, 1, 40},
	{258, 0, 1}, {292, 0, 8},
};

static unsigned max_number = UINT16_MAX;

static bool fits(unsigned number, size_t size)
{
	size_t i;

	if (number > max_number)
		return false;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		if (lengths[i].number == number)
			return size >= lengths[i].min && size <= lengths[i].max;
	}
	return true;
}

struct option {
	unsigned number;
	const uint8_t *value;
	size_t size;
};

/* Reads the part of a number that may follow the first byte of an option. */
static bool extend(const uint8_t **p, const uint8_t *end, unsigned *n)
{
	if (*n < 13)
		return true;
	if (*n == 15 || end - *p < (ptrdiff_t)(*n - 12))
		return false;
	*n = *n == 13 ? 13 + (*p)[0] : 269 + ((*p)[0] << 8 | (*p)[1]);
	*p += *n < 269 ? 1 : 2;
	return true;
}

/* Takes an option off. Returns false, and leaves all, where there is none that is whole. */
static bool next(const uint8_t **from, const uint8_t *end, struct option *option)
{
	const uint8_t *p = *from;
	unsigned delta, size;

	if (p == end || *p == PAYLOAD)
		return false;
	delta = *p >> 4;
	size = *p++ & 15;
	if (!extend(&p, end, &delta) || !extend(&p, end, &size) || (size_t)(end - p) < size ||
	    option->number + delta > UINT16_MAX)
		return false;
	option->number += delta;
	option->value = p;
	option->size = size;
	*from = p + size;
	return true;
}

static unsigned nibble(unsigned n)
{
	return n < 13 ? n : n < 269 ? 13 : 14;
}

static uint8_t *put_extended(uint8_t *out, unsigned n)
{
	if (n >= 269) {
		*out++ = (n - 269) >> 8;
		*out++ = n - 269;
	} else if (n >= 13) {
		*out++ = n - 13;
	}
	return out;
}

static uint8_t *put(uint8_t *out, unsigned delta, const struct option *option)
{
	*out++ = nibble(delta) << 4 | nibble(option->size);
	out = put_extended(put_extended(out, delta), option->size);
	memcpy(out, option->value, option->size);
	return out + option->size;
}

/* Copies a datagram without the options whose lengths are wrong. It gets no longer: the first
 * byte of one that is left out makes room for a larger distance to the next. Returns its
 * size, or 0 where there is nothing to be left out, or no datagram that can be read. */
static size_t mend(struct cshim_odd_options *odd, const uint8_t *data, size_t length,
		   uint8_t *mended)
{
	size_t head = HEADER + (data[0] & 15);
	const uint8_t *p = data + head, *end = data + length;
	struct option option = { 0, NULL, 0 };
	unsigned last = 0;
	uint8_t *out = mended + head;
	bool left = false;

	if (length <= head || data[0] >> 6 != 1 || head > HEADER + MAX_TOKEN || data[1] == 0 ||
	    data[1] >> 5 == 7)
		return 0;
	memcpy(mended, data, head);
	while (next(&p, end, &option)) {
		if (fits(option.number, option.size)) {
			out = put(out, option.number - last, &option);
			last = option.number;
			continue;
		}
		left = true;
		if (option.number == URI_QUERY && option.size == 0)
			odd->queries++;
		else if (option.number % 2 == 1 && odd->critical == 0)
			odd->critical = option.number;
	}
	if (!left || (p != end && *p != PAYLOAD))
		return 0;
	memcpy(out, p, end - p);
	return out - mended + (end - p);
}

int cshim_fix_options_parse(coap_proto_t proto, const uint8_t *data, size_t length, coap_pdu_t *pdu)
{
	parse_function *parse = CSHIM_NEXT(parse_function, coap_pdu_parse);
	cshim_context *c = cshim_reading();
	uint8_t mended[CSHIM_DATAGRAM_SIZE];
	size_t size;

	if (c == NULL)
		return parse(proto, data, length, pdu);
	memset(&c->odd, 0, sizeof(c->odd));
	if (c->adoption != NULL || proto >= COAP_PROTO_TCP || length < HEADER || length > sizeof(mended))
		return parse(proto, data, length, pdu);
	size = mend(&c->odd, data, length, mended);
	if (size == 0) {
		memset(&c->odd, 0, sizeof(c->odd));
		return parse(proto, data, length, pdu);
	}
	return parse(proto, mended, size, pdu);
}

bool cshim_fix_options_works(void)
{
	return CSHIM_WORKS(coap_pdu_parse);
}

void cshim_fix_options_probe(void)
{
	static const uint8_t request[] = {0x40, COAP_REQUEST_GET, 0, 0, 0xe0, 0xfe,
					  0xf2}; /* with option 65535 */
	parse_function *parse = CSHIM_NEXT(parse_function, coap_pdu_parse);
	coap_pdu_t *pdu = parse != NULL ? coap_pdu_init(COAP_MESSAGE_CON, 0, 0, sizeof(request)) : NULL;

	if (pdu == NULL)
		return;
	if (!parse(COAP_PROTO_UDP, request, sizeof(request), pdu))
		max_number = UINT16_MAX - 1;
	coap_delete_pdu(pdu);
}

unsigned cshim_fix_options_max(void)
{
	return max_number;
}

bool cshim_fix_options_last_block(const uint8_t *data, size_t length)
{
	const uint8_t *p, *end = data + length;
	struct option option = { 0, NULL, 0 };
	unsigned block = 0;
	size_t i;

	if (length < HEADER || data[0] >> 4 != (4 | COAP_MESSAGE_CON) || data[1] == 0 ||
	    data[1] >> 5 != 0 || length - HEADER < (data[0] & 15U))
		return false;
	for (p = data + HEADER + (data[0] & 15); next(&p, end, &option) && option.number <= BLOCK1;) {
		if (option.number != BLOCK1)
			continue;
		for (i = 0; i < option.size && i < 3; i++)
			block = block << 8 | option.value[i];
		return block >> 4 > 0 && !(block & 8);
	}
	return false;
}
