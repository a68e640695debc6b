#ifndef CSHIM_CLOCK_H
#define CSHIM_CLOCK_H

#include <stdint.h>
#include <time.h>

/* A clock that is never set, in milliseconds. */
static inline int64_t cshim_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
