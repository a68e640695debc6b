#ifndef CSHIM_MESSAGE_H
#define CSHIM_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "compat.h"
#include "fix_options.h"

/* A message, as C and Go hand it to each other. What it points to lives as long
 * as the call. */
struct cshim_message {
	int type;
	int code;
	int mid;
	size_t token_size;
	const uint8_t *token;
	size_t options_size;
	const uint8_t *options; /* ascending; each its number in 2 bytes, its length in 4, and its value */
	size_t body_size;
	const uint8_t *body;
	struct cshim_odd_options odd; /* of a message that was received */
};

/* A buffer that grows. */
struct cshim_buffer {
	uint8_t *bytes;
	size_t size;
};

/* Reads a message. The options go to the buffer. Returns 0 where memory is
 * short. */
int cshim_message_read(const coap_pdu_t *pdu, struct cshim_message *m,
		       struct cshim_buffer *options);

/* Makes a PDU of a message for a session. With a mid of -1 it gets a new one.
 * Returns NULL where it is larger than the session's messages may be. */
coap_pdu_t *cshim_message_make(coap_session_t *session, const struct cshim_message *m);

#endif
