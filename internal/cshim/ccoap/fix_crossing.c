#include <stdbool.h>

#include "fix_crossing.h"

void cshim_fix_crossing_sent(struct cshim_crossing *crossing, uint16_t id)
{
	crossing->ids[crossing->next++ % CSHIM_CROSSING] = id;
	if (crossing->count < CSHIM_CROSSING)
		crossing->count++;
}

static bool has(const struct cshim_crossing *crossing, uint16_t id)
{
	unsigned i;

	for (i = 0; i < crossing->count; i++) {
		if (crossing->ids[i] == id)
			return true;
	}
	return false;
}

void cshim_fix_crossing_received(const struct cshim_crossing *crossing, void *bytes, size_t size)
{
	uint8_t *message = bytes;
	uint16_t id;

	if (size < 4 || (message[0] & 0xf0) != 0x50) /* version 1, non-confirmable */
		return;
	for (id = message[2] << 8 | message[3]; has(crossing, id); id ^= 0x8000, id++)
		;
	message[2] = id >> 8;
	message[3] = id;
}
