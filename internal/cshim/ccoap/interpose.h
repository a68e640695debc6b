#ifndef CSHIM_INTERPOSE_H
#define CSHIM_INTERPOSE_H

#include <stdbool.h>

/* Some functions of this package have the name of one that libcoap calls. In a program the
 * dynamic linker finds them first. In a shared library or a plugin it depends on
 * what the program has loaded before. */

/* The function of a name that is called where ours does not come first. known keeps it. */
void *cshim_interpose_next(void **known, const char *name);

/* Whether libcoap's calls of the function come to ours. */
bool cshim_interpose_works(const char *name, void *ours);

/* Where the library, or the program, is loaded that has an address; NULL: none has it. */
void *cshim_interpose_library(const void *address);

#endif
