#ifndef CSHIM_ADOPT_H
#define CSHIM_ADOPT_H

#include "identity.h"

/* Contexts that a C program has made, and Go has adopted or borrowed. */

/* Gives the handlers back to the program, and forgets that the context is adopted. */
void cshim_adoption_end(cshim_context *c);

/* The program does not run the loop of a borrowed context any more. */
void cshim_adoption_keep(cshim_context *c);

/* Gives a session a number, unless it has one, and takes a reference then. Returns 0 for a
 * session that libcoap is about to free. */
uint64_t cshim_adoption_wrap(cshim_context *c, coap_session_t *session, bool *is_new);

/* Ends an observation as libcoap does in its block mode, where it changes tokens. Returns
 * false where it does not know the observation. */
bool cshim_adoption_cancel_observe(coap_session_t *session, const uint8_t *token, size_t size);

/* Whether libcoap is at work in gnucoap_io_process. */
bool cshim_adoption_processing(const cshim_context *c);

#ifdef CSHIM_HAVE_ADOPTION

/* Call the program's handler, if it has one. */
coap_response_t cshim_adoption_response(cshim_context *c, coap_session_t *session,
					const coap_pdu_t *sent,
					const coap_pdu_t *received, coap_mid_t mid);
void cshim_adoption_nack(cshim_context *c, coap_session_t *session, const coap_pdu_t *sent,
			 coap_nack_reason_t reason, coap_mid_t mid);
void cshim_adoption_event(cshim_context *c, coap_session_t *session, coap_event_t event);

#endif

#endif
