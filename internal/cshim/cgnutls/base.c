#include <string.h>

#include "base.h"

static __thread void *current_handle;

static int64_t items_live;

cshim_session *cshim_session_of(gnutls_session_t tls)
{
	return gnutls_session_get_ptr(tls);
}

void *cshim_current_handle(void)
{
	return current_handle;
}

void cshim_set_current_handle(void *handle)
{
	current_handle = handle;
}

struct cshim_item *cshim_item_new(const void *message, size_t size)
{
	struct cshim_item *item = calloc(1, sizeof(*item));

	if (item == NULL)
		return NULL;
	if (size > 0) {
		item->message.data = gnutls_malloc(size);
		if (item->message.data == NULL) {
			free(item);
			return NULL;
		}
		memcpy(item->message.data, message, size);
		item->message.size = size;
	}
	__atomic_add_fetch(&items_live, 1, __ATOMIC_RELAXED);
	return item;
}

static void datum_free(gnutls_datum_t *d)
{
	if (d->data == NULL)
		return;
	gnutls_memset(d->data, 0, d->size);
	gnutls_free(d->data);
}

void cshim_item_free(struct cshim_item *item)
{
	datum_free(&item->message);
	datum_free(&item->session);
	free(item);
	__atomic_sub_fetch(&items_live, 1, __ATOMIC_RELAXED);
}

int64_t cshim_items_live(void)
{
	return __atomic_load_n(&items_live, __ATOMIC_RELAXED);
}

void cshim_queue_add(struct cshim_queue *q, struct cshim_item *item)
{
	if (q->last == NULL)
		q->first = item;
	else
		q->last->next = item;
	q->last = item;
	q->n++;
}

struct cshim_item *cshim_queue_take(struct cshim_queue *q)
{
	struct cshim_item *item = q->first;

	if (item == NULL)
		return NULL;
	q->first = item->next;
	if (q->first == NULL)
		q->last = NULL;
	q->n--;
	return item;
}

static int on_message(gnutls_session_t tls, unsigned htype, unsigned when, unsigned incoming,
		      const gnutls_datum_t *msg)
{
	cshim_session *s = cshim_session_of(tls);

	return s->hook(s, htype, when, incoming, msg);
}

void cshim_hook_attach(cshim_session *s)
{
	gnutls_handshake_set_hook_function(s->tls, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH, on_message);
}
