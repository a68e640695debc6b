#include "parse.h"

unsigned cshim_u16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

bool cshim_skip(struct cshim_bytes *b, size_t n)
{
	if (b->n < n) {
		b->n = 0;
		return false;
	}
	b->p += n;
	b->n -= n;
	return true;
}

bool cshim_vector(struct cshim_bytes *b, unsigned prefix, struct cshim_bytes *v)
{
	size_t n = 0;

	for (unsigned i = 0; i < prefix; i++) {
		if (b->n == 0)
			return false;
		n = n << 8 | *b->p;
		cshim_skip(b, 1);
	}
	v->p = b->p;
	v->n = n;
	return cshim_skip(b, n);
}

struct cshim_bytes cshim_hello_extensions(struct cshim_bytes b, bool datagram)
{
	const size_t version_and_random = 34;
	struct cshim_bytes v, list;

	if (!cshim_skip(&b, version_and_random) || !cshim_vector(&b, 1, &v) ||
	    (datagram && !cshim_vector(&b, 1, &v)) || !cshim_vector(&b, 2, &v) ||
	    !cshim_vector(&b, 1, &v) || !cshim_vector(&b, 2, &list))
		return (struct cshim_bytes){ 0 };
	return list;
}

bool cshim_find_extension(struct cshim_bytes list, unsigned type, struct cshim_bytes *body)
{
	while (list.n >= 4) {
		unsigned found = cshim_u16(list.p);

		cshim_skip(&list, 2);
		if (!cshim_vector(&list, 2, body))
			return false;
		if (found == type)
			return true;
	}
	return false;
}
