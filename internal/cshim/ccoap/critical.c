#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#include "critical.h"

typedef int get_function(const void *filter, uint16_t number);

/* Has the name that libcoap calls. Whoever else calls it gets the next function of
 * that name. */
__attribute__((visibility("default"))) int cshim_critical_filter_get(const void *filter, uint16_t number)
	__asm__("coap_option_filter_get");

static get_function *next_get(void)
{
	static get_function *next;
	get_function *f = __atomic_load_n(&next, __ATOMIC_RELAXED);

	if (f == NULL) {
		f = (get_function *)dlsym(RTLD_NEXT, "coap_option_filter_get");
		__atomic_store_n(&next, f, __ATOMIC_RELAXED);
	}
	return f;
}

int cshim_critical_filter_get(const void *filter, uint16_t number)
{
	get_function *get = next_get();
	int known = get(filter, number);

	if (known > 0 || !(number & 1))
		return known;
	return get(filter, CSHIM_ALL_OPTIONS) > 0 ? 1 : known;
}

bool cshim_critical_works(void)
{
	return dlsym(RTLD_DEFAULT, "coap_option_filter_get") == (void *)cshim_critical_filter_get;
}
