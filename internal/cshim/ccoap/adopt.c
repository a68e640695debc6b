#include "adopt.h"
#include "fix_stream_table.h"

#ifdef CSHIM_HAVE_ADOPTION

void cshim_adoption_end(cshim_context *c)
{
	const gnucoap_handlers_t *handlers = &c->adoption->handlers;

	coap_register_response_handler(c->ctx, handlers->response);
	coap_register_nack_handler(c->ctx, handlers->nack);
	coap_register_event_handler(c->ctx, handlers->event);
	coap_register_ping_handler(c->ctx, handlers->ping);
	coap_register_pong_handler(c->ctx, handlers->pong);
	cshim_adoption_remove(c);
}

void cshim_adoption_keep(cshim_context *c)
{
	c->adoption->borrowed = false;
}

uint64_t cshim_adoption_wrap(cshim_context *c, coap_session_t *session, bool *is_new)
{
	uint64_t id = cshim_session_id(session);

	*is_new = id == 0 && session != c->adoption->leaving;
	if (*is_new) {
		id = ++c->last_session;
		cshim_session_set_id(session, id);
		coap_session_reference(session);
	}
	return id;
}

bool cshim_adoption_cancel_observe(coap_session_t *session, const uint8_t *token, size_t size)
{
	cshim_context *c = cshim_context_of(session);
	coap_binary_t t = { size, (uint8_t *)token };
	struct cshim_streams *outer;
	int cancelled;

	outer = cshim_fix_streams_enter(&c->streams);
	cancelled = coap_cancel_observe(session, &t, COAP_MESSAGE_CON);
	cshim_fix_streams_leave(outer);
	return cancelled;
}

bool cshim_adoption_processing(const cshim_context *c)
{
	return c->adoption->processing;
}

coap_response_t cshim_adoption_response(cshim_context *c, coap_session_t *session,
					const coap_pdu_t *sent,
					const coap_pdu_t *received, coap_mid_t mid)
{
	if (c->adoption->handlers.response == NULL)
		return COAP_RESPONSE_OK;
	return c->adoption->handlers.response(session, sent, received, mid);
}

void cshim_adoption_nack(cshim_context *c, coap_session_t *session, const coap_pdu_t *sent,
			 coap_nack_reason_t reason,
			 coap_mid_t mid)
{
	const coap_session_t *outer = c->adoption->leaving;

	if (c->adoption->handlers.nack == NULL)
		return;
	/* These are also the reasons for what a session that is freed had to send. */
	if (reason == COAP_NACK_NOT_DELIVERABLE || reason == COAP_NACK_TLS_FAILED)
		c->adoption->leaving = session;
	c->adoption->handlers.nack(session, sent, reason, mid);
	c->adoption->leaving = outer;
}

void cshim_adoption_event(cshim_context *c, coap_session_t *session, coap_event_t event)
{
	const coap_session_t *outer = c->adoption->leaving;

	if (c->adoption->handlers.event == NULL)
		return;
	if (event == COAP_EVENT_SERVER_SESSION_DEL)
		c->adoption->leaving = session;
	c->adoption->handlers.event(session, event);
	c->adoption->leaving = outer;
}

#else

void cshim_adoption_keep(struct cshim_context *c)
{
}

uint64_t cshim_adoption_wrap(struct cshim_context *c, coap_session_t *session, bool *is_new)
{
	return 0;
}

bool cshim_adoption_cancel_observe(coap_session_t *session, const uint8_t *token, size_t size)
{
	return false;
}

bool cshim_adoption_processing(const struct cshim_context *c)
{
	return false;
}

#endif
