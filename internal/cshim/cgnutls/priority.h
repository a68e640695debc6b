#ifndef CSHIM_PRIORITY_H
#define CSHIM_PRIORITY_H

#include <stdbool.h>
#include <stdlib.h>

#include "library.h"

int cshim_priority_new(gnutls_priority_t *p, const char *s, bool append, int *pos);

#endif
