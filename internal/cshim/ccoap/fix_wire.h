/* Mends: libcoap loses bytes of a connection when what it reads ends within a header, and deals
 * with messages before the capabilities of the peer, behind the end that the peer has announced,
 * and with options of any number. This looks at the messages that come (RFC 8323, section 3.2) and
 * says what libcoap may have of them.
 *
 * In: all versions. Until: none yet. Test: TestStreamKeepsHeadersTogether,
 * TestTCPMessagesThatComeInPieces, TestServerAbortsConnections, TestNothingCountsBehindTheEnd. */
#ifndef CSHIM_FIX_WIRE_H
#define CSHIM_FIX_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a message may have. Beyond it the connection is aborted. */
enum { CSHIM_WIRE_OPTIONS = 1024, CSHIM_WIRE_OPTION_BYTES = 128 << 10 };

/* Why a connection is aborted (RFC 8323, section 5.6). */
enum cshim_wire_fault {
	CSHIM_WIRE_GOOD,
	CSHIM_WIRE_NO_CSM,   /* the first message is none */
	CSHIM_WIRE_TOKEN,    /* of more than 8 bytes */
	CSHIM_WIRE_LARGE,    /* a message of more bytes than we take */
	CSHIM_WIRE_CRITICAL, /* an option of a signalling message that we do not know, or one that
				libcoap drops messages for */
	CSHIM_WIRE_MANY,     /* too many options, or bytes of them */
};

struct cshim_wire {
	bool greeted;      /* the peer has sent its capabilities */
	bool has_blocks;   /* and they are of block-wise transfers */
	bool ended;        /* and Release or Abort: nothing follows that counts */
	bool held;         /* what follows are more requests than were asked for */
	uint32_t most;     /* bytes in a message; 0: any */
	uint16_t max_number; /* of an option; 0: any */
	enum cshim_wire_fault fault;
	uint32_t option; /* the one that is at fault */

	/* Where we are in a message. */
	enum {
		CSHIM_WIRE_HEADER,
		CSHIM_WIRE_OPTION,
		CSHIM_WIRE_EXTENDED,
		CSHIM_WIRE_VALUE,
		CSHIM_WIRE_REST
	} phase;
	uint64_t remaining; /* bytes that the message has yet */
	uint8_t code;
	uint8_t token; /* bytes that it has yet */
	unsigned options;
	uint32_t option_bytes, number;
	uint8_t nibbles, deltas, lengths; /* of an option; how many more bytes the two have */
	uint32_t delta, length;
};

/* Returns how many bytes libcoap may have, of which requests may begin. The others are
 * for the next time, or there is a fault where they begin. */
size_t cshim_fix_wire_take(struct cshim_wire *w, const uint8_t *bytes, size_t size,
			   unsigned requests);

/* Whether a message has begun and is not complete. */
static inline bool cshim_fix_wire_within(const struct cshim_wire *w)
{
	return w->phase != CSHIM_WIRE_HEADER;
}

/* Writes an Abort for the fault, and returns its size. */
enum { CSHIM_WIRE_ABORT = 64 };
size_t cshim_fix_wire_abort(const struct cshim_wire *w, uint8_t message[CSHIM_WIRE_ABORT]);

#endif
