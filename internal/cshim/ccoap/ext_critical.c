#include <stddef.h>
#include <stdint.h>

#include "ext_critical.h"
#include "interpose.h"

typedef int get_function(const void *filter, uint16_t number);

int cshim_ext_critical_filter_get(const void *filter, uint16_t number)
{
	get_function *get = CSHIM_NEXT(get_function, coap_option_filter_get);
	int known = get(filter, number);

	if (known > 0 || !(number & 1))
		return known;
	return get(filter, CSHIM_ALL_OPTIONS) > 0 ? 1 : known;
}

bool cshim_ext_critical_works(void)
{
	return CSHIM_WORKS(coap_option_filter_get);
}
