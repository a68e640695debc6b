#include <string.h>

#include "keylog.h"

static char *put_hex(char *p, const gnutls_datum_t *d)
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < d->size; i++) {
		*p++ = digits[d->data[i] >> 4];
		*p++ = digits[d->data[i] & 15];
	}
	return p;
}

static int on_secret(gnutls_session_t tls, const char *label, const gnutls_datum_t *secret)
{
	cshim_session *s = cshim_session_of(tls);
	gnutls_datum_t random, server;
	struct cshim_item *item;
	size_t label_len = strlen(label);
	char *p;

	gnutls_session_get_random(tls, &random, &server);
	item = cshim_item_new(NULL, 0);
	if (item == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	item->message.size = label_len + 1 + 2 * random.size + 1 + 2 * secret->size + 1;
	item->message.data = gnutls_malloc(item->message.size);
	if (item->message.data == NULL) {
		cshim_item_free(item);
		return GNUTLS_E_MEMORY_ERROR;
	}
	p = (char *)item->message.data;
	memcpy(p, label, label_len);
	p += label_len;
	*p++ = ' ';
	p = put_hex(p, &random);
	*p++ = ' ';
	p = put_hex(p, secret);
	*p = '\n';
	cshim_queue_add(&s->keylog, item);
	return 0;
}

void cshim_keylog_attach(cshim_session *s)
{
	gnutls_session_set_keylog_function(s->tls, on_secret);
}
