#include <string.h>

#include "fix_wire.h"

enum { TOKEN_MOST = 8, CSM = 7 << 5 | 1, RELEASE = 7 << 5 | 4, ABORT = 7 << 5 | 5 };
enum { BAD_CSM_OPTION = 2, BLOCK_WISE_TRANSFER = 4 };

static size_t header_size(uint8_t first)
{
	static const size_t extended[] = { 1, 2, 4 };
	unsigned length = first >> 4;

	return 2 + (length < 13 ? 0 : extended[length - 13]);
}

/* The bytes that come after a header and a token: options and payload. */
static uint64_t body_size(const uint8_t *header)
{
	switch (header[0] >> 4) {
	case 13:
		return 13 + header[1];
	case 14:
		return 269 + (header[1] << 8 | header[2]);
	case 15:
		return 65805 + ((uint64_t)header[1] << 24 | header[2] << 16 | header[3] << 8 | header[4]);
	}
	return header[0] >> 4;
}

static bool is_signal(const struct cshim_wire *w)
{
	return w->code >> 5 == 7;
}

static bool is_request(uint8_t code)
{
	return code != 0 && code >> 5 == 0;
}

static void finish(struct cshim_wire *w)
{
	w->phase = CSHIM_WIRE_HEADER;
	if (w->code == CSM)
		w->greeted = true;
	if (w->code == RELEASE || w->code == ABORT)
		w->ended = true;
}

/* Begins a message. Returns false where nothing of it may reach libcoap. */
static bool begin(struct cshim_wire *w, const uint8_t *header, size_t size)
{
	uint64_t body = body_size(header);

	w->code = header[size - 1];
	w->token = header[0] & 15;
	if (!w->greeted && (w->code == RELEASE || w->code == ABORT)) {
		w->ended = true;
		return false;
	}
	if (!w->greeted && w->code != CSM)
		w->fault = CSHIM_WIRE_NO_CSM;
	else if (w->token > TOKEN_MOST)
		w->fault = CSHIM_WIRE_TOKEN;
	else if (w->most > 0 && size + w->token + body > w->most)
		w->fault = CSHIM_WIRE_LARGE;
	if (w->fault != CSHIM_WIRE_GOOD)
		return false;
	w->remaining = w->token + body;
	w->phase = CSHIM_WIRE_OPTION;
	w->options = w->option_bytes = w->number = 0;
	if (w->remaining == 0)
		finish(w);
	return true;
}

static uint32_t extended(unsigned nibble, uint32_t more)
{
	return nibble < 13 ? nibble : nibble == 13 ? 13 + more : 269 + more;
}

static uint8_t extra(unsigned nibble)
{
	return nibble < 13 ? 0 : nibble - 12;
}

/* An option's number and length are there. */
static void begin_value(struct cshim_wire *w)
{
	w->number += extended(w->nibbles >> 4, w->delta);
	w->length = extended(w->nibbles & 15, w->length);
	w->option_bytes += w->length;
	if (w->length > w->remaining) { /* libcoap finds that too, and drops the message */
		w->phase = CSHIM_WIRE_REST;
		return;
	}
	if (++w->options > CSHIM_WIRE_OPTIONS || w->option_bytes > CSHIM_WIRE_OPTION_BYTES)
		w->fault = CSHIM_WIRE_MANY;
	if ((w->max_number > 0 && w->number > w->max_number) ||
	    (is_signal(w) && w->code != RELEASE && w->code != ABORT && w->number % 2 == 1)) {
		w->fault = CSHIM_WIRE_CRITICAL;
		w->option = w->number;
	}
	if (w->code == CSM && w->number == BLOCK_WISE_TRANSFER)
		w->has_blocks = true;
	w->phase = w->length > 0 ? CSHIM_WIRE_VALUE : CSHIM_WIRE_OPTION;
}

static void option_byte(struct cshim_wire *w, uint8_t byte)
{
	if (w->phase == CSHIM_WIRE_OPTION) {
		if (byte >> 4 == 15 || (byte & 15) == 15) { /* the payload, or nothing that libcoap takes */
			w->phase = CSHIM_WIRE_REST;
			return;
		}
		w->phase = CSHIM_WIRE_EXTENDED;
		w->nibbles = byte;
		w->deltas = extra(byte >> 4);
		w->lengths = extra(byte & 15);
		w->delta = w->length = 0;
	} else if (w->deltas > 0) {
		w->deltas--;
		w->delta = w->delta << 8 | byte;
	} else {
		w->lengths--;
		w->length = w->length << 8 | byte;
	}
	if (w->deltas == 0 && w->lengths == 0)
		begin_value(w);
}

/* Looks at some of the bytes that a message has yet, and returns how many. */
static size_t look(struct cshim_wire *w, const uint8_t *bytes, size_t size)
{
	size_t n = size < w->remaining ? size : w->remaining;

	if (w->token > 0) {
		n = n < w->token ? n : w->token;
		w->token -= n;
	} else if (w->phase == CSHIM_WIRE_VALUE) {
		n = n < w->length ? n : w->length;
		w->length -= n;
		if (w->length == 0)
			w->phase = CSHIM_WIRE_OPTION;
	} else if (w->phase != CSHIM_WIRE_REST) {
		n = 1;
		w->remaining--;
		option_byte(w, bytes[0]);
		w->remaining++;
	}
	w->remaining -= n;
	if (w->remaining == 0 && w->fault == CSHIM_WIRE_GOOD)
		finish(w);
	return n;
}

size_t cshim_fix_wire_take(struct cshim_wire *w, const uint8_t *bytes, size_t size,
			   unsigned requests)
{
	size_t at = 0, n;

	w->held = false;
	while (at < size && w->fault == CSHIM_WIRE_GOOD && !w->ended) {
		if (cshim_fix_wire_within(w)) {
			n = look(w, bytes + at, size - at);
			at += w->fault == CSHIM_WIRE_GOOD ? n : 0;
			continue;
		}
		n = header_size(bytes[at]);
		if (size - at < n)
			break;
		if (is_request(bytes[at + n - 1]) && w->greeted) {
			if (requests == 0) {
				w->held = true;
				break;
			}
			requests--;
		}
		if (!begin(w, bytes + at, n))
			break;
		at += n;
	}
	return at;
}

size_t cshim_fix_wire_abort(const struct cshim_wire *w, uint8_t message[CSHIM_WIRE_ABORT])
{
	static const char *const reasons[] = {
		[CSHIM_WIRE_GOOD] = "",
		[CSHIM_WIRE_NO_CSM] = "the first message is no CSM",
		[CSHIM_WIRE_TOKEN] = "token of more than 8 bytes",
		[CSHIM_WIRE_LARGE] = "message too large",
		[CSHIM_WIRE_CRITICAL] = "unknown critical option",
		[CSHIM_WIRE_MANY] = "too many options",
	};
	const char *reason = reasons[w->fault];
	uint8_t body[CSHIM_WIRE_ABORT];
	size_t n = 0;

	if (w->fault == CSHIM_WIRE_CRITICAL && w->code == CSM) {
		body[n++] = BAD_CSM_OPTION << 4 | (w->option > 255 ? 2 : 1);
		if (w->option > 255)
			body[n++] = w->option >> 8;
		body[n++] = w->option;
	}
	body[n++] = 0xff;
	memcpy(body + n, reason, strlen(reason));
	n += strlen(reason);
	message[0] = 13 << 4;
	message[1] = n - 13;
	message[2] = ABORT;
	memcpy(message + 3, body, n);
	return 3 + n;
}
