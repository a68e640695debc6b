#define _GNU_SOURCE
#include "adopt.h"

unsigned cshim_adoptions;

#ifdef CSHIM_HAVE_ADOPTION

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>

#include "_cgo_export.h"
#include "context.h"
#include "empty.h"
#include "session.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards adopted */
static cshim_context *adopted;

cshim_context *cshim_adoption_find(const coap_context_t *ctx)
{
	cshim_context *c;

	pthread_mutex_lock(&mutex);
	for (c = adopted; c != NULL && c->ctx != ctx; c = c->adoption->next)
		;
	pthread_mutex_unlock(&mutex);
	return c;
}

/* The number of a session. */
struct numbered {
	const coap_session_t *session;
	uint64_t id;
};

static int compare(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct numbered *)a)->session;
	uintptr_t y = (uintptr_t)((const struct numbered *)b)->session;

	return x < y ? -1 : x > y;
}

bool cshim_adoption_get_id(const coap_session_t *session, uint64_t *id)
{
	const cshim_context *c = cshim_adoption_find(coap_session_get_context(session));
	struct numbered key = { .session = session };
	struct numbered **found;

	if (c == NULL)
		return false;
	found = tfind(&key, &c->adoption->sessions, compare);
	*id = found == NULL ? 0 : (*found)->id;
	return true;
}

bool cshim_adoption_set_id(const coap_session_t *session, uint64_t id)
{
	cshim_context *c = cshim_adoption_find(coap_session_get_context(session));
	struct numbered key = { .session = session };
	struct numbered **found, *entry;

	if (c == NULL)
		return false;
	found = tfind(&key, &c->adoption->sessions, compare);
	if (found != NULL && id != 0) {
		(*found)->id = id;
	} else if (found != NULL) {
		entry = *found;
		tdelete(&key, &c->adoption->sessions, compare);
		free(entry);
	} else if (id != 0) {
		entry = malloc(sizeof(*entry));
		if (entry == NULL)
			abort(); /* as Go does */
		entry->session = session;
		entry->id = id;
		if (tsearch(entry, &c->adoption->sessions, compare) == NULL)
			abort();
	}
	return true;
}

/* It outlives the adoption: libcoap tells nobody whether the program has replaced the
 * resource, so that cannot be deleted. */
static void on_request(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
		       const coap_string_t *query, coap_pdu_t *response)
{
	if (cshim_adoption_find(coap_session_get_context(session)) != NULL)
		cshim_on_request(session, request, response);
	else
		coap_pdu_set_code(response, COAP_RESPONSE_CODE_NOT_FOUND);
}

/* The resource for what the program has none for. */
static coap_resource_t *make_resource(void)
{
	coap_resource_t *resource = coap_resource_unknown_init(on_request);
	int method;

	for (method = COAP_REQUEST_GET; resource != NULL && method <= COAP_REQUEST_IPATCH; method++)
		coap_register_request_handler(resource, method, on_request);
	return resource;
}

cshim_context *cshim_adoption_begin(coap_context_t *ctx, void *handle, bool borrowed)
{
	cshim_context *c = calloc(1, sizeof(*c));
	struct cshim_adoption *adoption = calloc(1, sizeof(*adoption));
	coap_resource_t *resource = make_resource();

	if (c == NULL || adoption == NULL || resource == NULL) {
		free(c);
		free(adoption);
		coap_delete_resource(NULL, resource);
		return NULL;
	}
	c->handle = handle;
	c->ctx = ctx;
	c->adoption = adoption;
	c->streams.foreign = true;
	adoption->borrowed = borrowed;
	coap_add_resource(ctx, resource);
	cshim_context_set_handlers(c);
	pthread_mutex_lock(&mutex);
	adoption->next = adopted;
	adopted = c;
	__atomic_add_fetch(&cshim_adoptions, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&mutex);
	return c;
}

/* Forgets that a context is adopted. */
static void end(cshim_context *c)
{
	cshim_context **at;

	pthread_mutex_lock(&mutex);
	for (at = &adopted; *at != c; at = &(*at)->adoption->next)
		;
	*at = c->adoption->next;
	__atomic_sub_fetch(&cshim_adoptions, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&mutex);
	tdestroy(c->adoption->sessions, free);
	free(c->adoption);
	c->adoption = NULL;
}

void cshim_adoption_give_back(cshim_context *c)
{
	const gnucoap_handlers_t *handlers = &c->adoption->handlers;

	coap_register_response_handler(c->ctx, handlers->response);
	coap_register_nack_handler(c->ctx, handlers->nack);
	coap_register_event_handler(c->ctx, handlers->event);
	coap_register_ping_handler(c->ctx, handlers->ping);
	coap_register_pong_handler(c->ctx, handlers->pong);
	end(c);
	cshim_context_release(c);
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

	outer = cshim_streams_enter(&c->streams);
	cancelled = coap_cancel_observe(session, &t, COAP_MESSAGE_CON);
	cshim_streams_leave(outer);
	return cancelled;
}

bool cshim_adoption_processing(const cshim_context *c)
{
	return c->adoption->processing;
}

coap_response_t cshim_adoption_response(cshim_context *c, coap_session_t *session, const coap_pdu_t *sent,
					const coap_pdu_t *received, coap_mid_t mid)
{
	if (c->adoption->handlers.response == NULL)
		return COAP_RESPONSE_OK;
	return c->adoption->handlers.response(session, sent, received, mid);
}

void cshim_adoption_nack(cshim_context *c, coap_session_t *session, const coap_pdu_t *sent, coap_nack_reason_t reason,
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

int gnucoap_lock(coap_context_t *context)
{
	return goCoapTake(context);
}

void gnucoap_unlock(coap_context_t *context)
{
	goCoapLetGo(context);
}

int gnucoap_set_handlers(coap_context_t *context, const gnucoap_handlers_t *handlers)
{
	if (!goCoapTake(context))
		return 0;
	cshim_adoption_find(context)->adoption->handlers = *handlers;
	goCoapLetGo(context);
	return 1;
}

static uint64_t milliseconds(void)
{
	coap_tick_t now;

	coap_ticks(&now);
	return now * 1000 / COAP_TICKS_PER_SECOND;
}

/* How long poll may wait: as long as coap_io_process may, but not beyond what libcoap
 * has to do next. */
static int wait_for(coap_context_t *context, uint32_t timeout_ms)
{
	coap_tick_t now;
	unsigned next;
	int wait = timeout_ms == COAP_IO_WAIT ? -1 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;

	if (timeout_ms == COAP_IO_NO_WAIT)
		return 0;
	coap_ticks(&now);
	next = coap_io_prepare_epoll(context, now);
	if (next != 0 && next < INT_MAX && (wait < 0 || (int)next < wait))
		wait = (int)next + 1; /* the clock that libcoap reads goes in milliseconds */
	return wait;
}

/* Does the I/O that there is, with what looks at it on its way. */
static int process(cshim_context *c)
{
	struct cshim_sockets *sockets = cshim_sockets_enter(&c->sockets);
	struct cshim_streams *outer;
	int result;

	c->adoption->processing = true;
	outer = cshim_streams_enter(&c->streams);
	cshim_empty_enter(c);
	cshim_datagrams_begin(&c->datagrams, false);
	result = coap_io_process(c->ctx, COAP_IO_NO_WAIT);
	cshim_empty_leave();
	cshim_streams_leave(outer);
	cshim_sockets_leave(sockets);
	c->adoption->processing = false;
	cshim_context_check_accepted(c);
	return result;
}

static bool may_process(const coap_context_t *context)
{
	const cshim_context *c = cshim_adoption_find(context);

	return c->adoption->borrowed && !c->adoption->processing;
}

int gnucoap_io_process(coap_context_t *context, uint32_t timeout_ms)
{
	uint64_t begun = milliseconds();
	struct pollfd p = { .fd = coap_context_get_coap_fd(context), .events = POLLIN };
	int result, wait;

	if (!goCoapTake(context))
		return coap_io_process(context, timeout_ms);
	if (!may_process(context)) {
		goCoapLetGo(context);
		return -1;
	}
	wait = wait_for(context, timeout_ms);
	goCoapWait(context);
	poll(&p, 1, wait);
	if (!goCoapResume(context)) /* Go has given it back */
		return coap_io_process(context, COAP_IO_NO_WAIT);
	if (!may_process(context)) { /* and has adopted it */
		goCoapLetGo(context);
		return -1;
	}
	result = process(cshim_adoption_find(context));
	goCoapProcessed(context);
	return result < 0 ? result : (int)(milliseconds() - begun);
}

#else

struct cshim_context *cshim_adoption_find(const coap_context_t *ctx)
{
	return NULL;
}

bool cshim_adoption_get_id(const coap_session_t *session, uint64_t *id)
{
	return false;
}

bool cshim_adoption_set_id(const coap_session_t *session, uint64_t id)
{
	return false;
}

struct cshim_context *cshim_adoption_begin(coap_context_t *ctx, void *handle, bool borrowed)
{
	return NULL;
}

void cshim_adoption_give_back(struct cshim_context *c)
{
}

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
