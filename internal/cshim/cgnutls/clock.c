#include <gnutls/gnutls.h>
#include <time.h>

#include "clock.h"

static int64_t ahead;

static time_t now(time_t *t)
{
	time_t shown = time(NULL) + __atomic_load_n(&ahead, __ATOMIC_RELAXED);

	if (t != NULL)
		*t = shown;
	return shown;
}

void cshim_clock_advance(int64_t seconds)
{
	__atomic_store_n(&ahead, seconds, __ATOMIC_RELAXED);
	gnutls_global_set_time_function(now);
}
