#include <stddef.h>
#include <stdint.h>

#include "critical.h"
#include "interpose.h"

typedef int get_function(const void *filter, uint16_t number);

/* Has the name that libcoap calls. It is weak: a libcoap that is linked statically keeps its own. Whoever else calls it gets the next function of
 * that name. */
__attribute__((weak, visibility("default"))) int cshim_critical_filter_get(const void *filter, uint16_t number)
	__asm__("coap_option_filter_get");

int cshim_critical_filter_get(const void *filter, uint16_t number)
{
	static void *next;
	get_function *get = (get_function *)cshim_interpose_next(&next, "coap_option_filter_get");
	int known = get(filter, number);

	if (known > 0 || !(number & 1))
		return known;
	return get(filter, CSHIM_ALL_OPTIONS) > 0 ? 1 : known;
}

bool cshim_critical_works(void)
{
	return cshim_interpose_works("coap_option_filter_get", (void *)cshim_critical_filter_get);
}
