/* Mends: the two sides of a session number their messages independently, but libcoap takes a
 * non-confirmable message for the end of one of its own confirmable ones that has the same ID, no
 * longer sends that again, and continues to count it for NSTART: with an NSTART of 1 it sends no
 * other. So such messages get another ID.
 *
 * In: 4.3.1 and later. Until: none yet. Test: TestMessagesOfBothSidesMayHaveTheSameID. */
#ifndef CSHIM_FIX_CROSSING_H
#define CSHIM_FIX_CROSSING_H

#include <stddef.h>
#include <stdint.h>

enum { CSHIM_CROSSING = 64 };

/* The IDs of the confirmable messages that a context sent last. */
struct cshim_crossing {
	uint16_t ids[CSHIM_CROSSING];
	unsigned next, count;
};

void cshim_fix_crossing_sent(struct cshim_crossing *crossing, uint16_t id);

/* Changes the ID of a datagram that was received, if it is non-confirmable and has
 * one of these. */
void cshim_fix_crossing_received(const struct cshim_crossing *crossing, void *bytes, size_t size);

#endif
