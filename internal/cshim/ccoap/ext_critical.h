#ifndef CSHIM_EXT_CRITICAL_H
#define CSHIM_EXT_CRITICAL_H

#include <stdbool.h>
#include <stdint.h>

/* libcoap refuses messages with critical options that it does not know: of a
 * response nobody hears then, and it has room for 8 more to know. So its question
 * whether an option is known is answered here, with yes, for contexts that
 * know CSHIM_ALL_OPTIONS, and Go decides. */

enum { CSHIM_ALL_OPTIONS = 65535 };

/* Reports whether libcoap's calls come here. */
bool cshim_ext_critical_works(void);

/* Replaces coap_option_filter_get in libcoap. */
int cshim_ext_critical_filter_get(const void *filter, uint16_t number);

#endif
