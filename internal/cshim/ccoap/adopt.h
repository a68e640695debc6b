#ifndef CSHIM_ADOPT_H
#define CSHIM_ADOPT_H

#include <stdbool.h>
#include <stdint.h>

#include "compat.h"

/* Contexts that a C program has made. Their app data, and that of their sessions, is
 * the program's: so what else stands there is in tables here. */

struct cshim_context;

/* How many contexts are adopted. */
extern unsigned cshim_adoptions;

static inline bool cshim_adoption_any(void)
{
	return __atomic_load_n(&cshim_adoptions, __ATOMIC_ACQUIRE) > 0;
}

/* The adopted context of a coap_context_t, or NULL. Any thread may call it. */
struct cshim_context *cshim_adoption_find(const coap_context_t *ctx);

/* Return false for a session of a context that is not adopted. */
bool cshim_adoption_get_id(const coap_session_t *session, uint64_t *id);
bool cshim_adoption_set_id(const coap_session_t *session, uint64_t id);

/* Takes a context over, with its handlers and its resource for what has no other
 * resource. borrowed: the program goes on to run its loop. NULL where memory is
 * short. */
struct cshim_context *cshim_adoption_begin(coap_context_t *ctx, void *handle, bool borrowed);

/* Gives a context back to the program, and frees c. */
void cshim_adoption_give_back(struct cshim_context *c);

/* The program does not run the loop of a borrowed context any more. */
void cshim_adoption_keep(struct cshim_context *c);

/* Gives a session a number, unless it has one, and takes a reference then. Returns 0 for a
 * session that libcoap is about to free. */
uint64_t cshim_adoption_wrap(struct cshim_context *c, coap_session_t *session, bool *is_new);

/* Ends an observation as libcoap does in its block mode, where it changes tokens. Returns
 * false where it does not know the observation. */
bool cshim_adoption_cancel_observe(coap_session_t *session, const uint8_t *token, size_t size);

/* Whether libcoap is at work in gnucoap_io_process. */
bool cshim_adoption_processing(const struct cshim_context *c);

#ifdef CSHIM_HAVE_ADOPTION

#include "../../../coap/gnucoap.h"

struct cshim_adoption {
	bool borrowed;
	bool processing;
	void *sessions;		/* their numbers: a tree of search.h */
	gnucoap_handlers_t handlers;
	const coap_session_t *leaving; /* libcoap may be about to free it, or NULL */
	struct cshim_context *next;
};

coap_response_t cshim_adoption_response(struct cshim_context *c, coap_session_t *session, const coap_pdu_t *sent,
					const coap_pdu_t *received, coap_mid_t mid);
void cshim_adoption_nack(struct cshim_context *c, coap_session_t *session, const coap_pdu_t *sent,
			 coap_nack_reason_t reason, coap_mid_t mid);
void cshim_adoption_event(struct cshim_context *c, coap_session_t *session, coap_event_t event);

#endif

#endif
