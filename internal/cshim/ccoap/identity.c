#define _GNU_SOURCE
#include <pthread.h>
#include <search.h>
#include <stdlib.h>

#include "identity.h"

unsigned cshim_adoptions;

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

void cshim_adoption_add(cshim_context *c)
{
	pthread_mutex_lock(&mutex);
	c->adoption->next = adopted;
	adopted = c;
	__atomic_add_fetch(&cshim_adoptions, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&mutex);
}

void cshim_adoption_remove(cshim_context *c)
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

cshim_context *cshim_context_of(const coap_session_t *session)
{
	coap_context_t *ctx = coap_session_get_context(session);
	cshim_context *c = cshim_adoption_any() ? cshim_adoption_find(ctx) : NULL;

	return c != NULL ? c : coap_get_app_data(ctx);
}

static __thread cshim_context *reading;

void cshim_reading_enter(cshim_context *c)
{
	reading = c;
}

void cshim_reading_leave(void)
{
	reading = NULL;
}

cshim_context *cshim_reading(void)
{
	return reading;
}
