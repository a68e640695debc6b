#include <string.h>

#include "hook.h"
#include "keylog.h"
#include "session.h"
#include "ticketkeys.h"
#include "ticketrequest.h"
#include "transport.h"
#include "verify.h"

static __thread void *current_handle;

static int64_t items_live;

int cshim_session_new(cshim_session **out, bool server, unsigned flags, bool tickets, bool ticket_requests,
		      bool keylog)
{
	cshim_session *s = calloc(1, sizeof(*s));
	int ret;

	if (s == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	s->server = server;
	ret = gnutls_init(&s->tls, flags | (server ? GNUTLS_SERVER : GNUTLS_CLIENT));
	if (ret < 0) {
		free(s);
		return ret;
	}
	gnutls_session_set_ptr(s->tls, s);
	if (ticket_requests)
		ret = cshim_ticket_request_attach(s);
	if (ret < 0) {
		gnutls_deinit(s->tls);
		free(s);
		return ret;
	}
	cshim_transport_attach(s);
	cshim_verify_attach(s);
	s->keep_tickets = tickets;
	cshim_hook_attach(s);
	if (keylog)
		cshim_keylog_attach(s);
	*out = s;
	return 0;
}

static void queue_free(struct cshim_queue *q)
{
	struct cshim_item *item;

	while ((item = cshim_queue_take(q)) != NULL)
		cshim_item_free(item);
}

void cshim_session_free(cshim_session *s)
{
	gnutls_deinit(s->tls);
	cshim_session_discard(s);
}

void cshim_session_discard(cshim_session *s)
{
	cshim_ticket_keys_clear(s);
	if (s->ticket != NULL)
		cshim_item_free(s->ticket);
	queue_free(&s->tickets);
	queue_free(&s->keylog);
	free(s);
}

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
