#include "ext_ticketkeys.h"
#include "ext_ticketrequest.h"
#include "hook.h"
#include "keylog.h"
#include "session.h"
#include "transport.h"
#include "verify.h"

int cshim_session_new(cshim_session **out, bool server, unsigned flags, bool tickets,
		      bool ticket_requests,
		      bool keylog)
{
	cshim_session *s = calloc(1, sizeof(*s));
	int ret;

	if (s == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	s->server = server;
	s->hook = cshim_hook_message;
	ret = gnutls_init(&s->tls, flags | (server ? GNUTLS_SERVER : GNUTLS_CLIENT));
	if (ret < 0) {
		free(s);
		return ret;
	}
	gnutls_session_set_ptr(s->tls, s);
	if (ticket_requests)
		ret = cshim_ext_ticket_request_attach(s);
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
	cshim_ext_ticket_keys_clear(s);
	if (s->ticket != NULL)
		cshim_item_free(s->ticket);
	queue_free(&s->tickets);
	queue_free(&s->keylog);
	free(s);
}
