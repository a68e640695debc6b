#include <string.h>

#include "priority.h"

int cshim_priority_new(gnutls_priority_t *p, const char *s, bool append, int *pos)
{
	const char *err = s;
	int ret;

	*pos = 0;
	if (*s == '\0')
		return gnutls_priority_init2(p, NULL, NULL, 0);
	ret = gnutls_priority_init2(p, s, &err, append ? GNUTLS_PRIORITY_INIT_DEF_APPEND : 0);
	if (ret < 0 && err > s && err <= s + strlen(s))
		*pos = (int)(err - s);
	return ret;
}
