#ifndef CSHIM_CLOCK_H
#define CSHIM_CLOCK_H

#include <stdint.h>

/* Makes the clock of GnuTLS go ahead of the system's, in seconds. */
void cshim_clock_advance(int64_t seconds);

#endif
