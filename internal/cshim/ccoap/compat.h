#ifndef CSHIM_COMPAT_H
#define CSHIM_COMPAT_H

/* What differs among the versions of libcoap. No other file asks for the
 * version. The code is written for 4.3.1; what 4.2 calls otherwise is renamed
 * here, and what only some have is behind a CSHIM_HAVE_…. */

#ifdef CSHIM_LIBCOAP2

#include <coap2/coap.h>

#if !defined(LIBCOAP_PACKAGE_STRING)
#error "gnucoap with the build tag libcoap2 needs libcoap 4.2.1"
#endif

typedef struct {
	size_t length;
	const uint8_t *s;
} cshim_token;

#define coap_pdu_get_token(pdu) ((cshim_token){ (pdu)->token_length, (pdu)->token })
#define coap_pdu_get_type(pdu) ((pdu)->type)
#define coap_pdu_get_code(pdu) ((pdu)->code)
#define coap_pdu_get_mid(pdu) ((pdu)->tid)
#define coap_pdu_set_type(pdu, value) ((pdu)->type = (value))
#define coap_session_get_context(session) ((session)->context)
#define coap_session_get_type(session) ((session)->type)
#define coap_session_get_proto(session) ((session)->proto)
#define coap_session_get_state(session) ((session)->state)
#define coap_session_get_addr_local(session) (&(session)->addr_info.local)
#define coap_session_get_addr_remote(session) (&(session)->addr_info.remote)
#define coap_context_set_session_timeout(ctx, seconds) ((ctx)->session_timeout = (seconds))
#define coap_context_set_max_idle_sessions(ctx, most) ((ctx)->max_idle_sessions = (most))
#define coap_context_set_max_handshake_sessions(ctx, most) ((ctx)->max_handshake_sessions = (most))
#define coap_register_request_handler coap_register_handler
#define coap_mid_t coap_tid_t
#define COAP_INVALID_MID COAP_INVALID_TID
#define COAP_SIGNALING_CODE_PONG COAP_SIGNALING_PONG

/* Credentials come from files, and are the same for all sessions: fix_libcoap2.c. */
#define CSHIM_CREDENTIALS 0
/* Its function that chooses a certificate tells it of the ClientHello of a session over DTLS too,
 * which it drops otherwise. */
#define CSHIM_HEARS_OF_HELLO 1
#define CSHIM_TAKES_OSCORE 0
#define CSHIM_PSK_IDENTITY_MAX 63
#define CSHIM_PSK_KEY_MAX 64
#define CSHIM_EVENT_ACCEPTED COAP_EVENT_TCP_CONNECTED

/* fix_libcoap2.c does what this version does not. */
#define CSHIM_CONTEXT_HOOKS(ctx) cshim_fix_libcoap2_hooks(ctx)
#define CSHIM_CONNECTED(session) cshim_fix_libcoap2_connected(session)
#define CSHIM_BEFORE_SEND(session, nstart) cshim_fix_libcoap2_before_send(session, nstart)
#define coap_session_set_nstart(session, value) ((void)(session), (void)(value))

/* Nothing may be read in the call that makes a TLS session of a client. */
#define CSHIM_MUST_WAIT(fd) cshim_fix_libcoap2_must_wait(fd)

/* Any response ends the retransmission of all messages with its token. */
#define CSHIM_TOKEN_IS_OF_ONE_MESSAGE 1

/* One timeout of DTLS may count as several. */
#define CSHIM_COUNTS_TIMEOUTS 0
#define CSHIM_STOPS_ITS_TIMER 1

/* What else is replaced in it, see interpose.h. */
#define CSHIM_REPLACED_OLD(X)                                                               \
	/* Sends again after 1 s, not 5. Fault. In: 4.2.1. Test: TestHandshakeSurvivesLoss. Until: \
	 * 4.3.1. */                                                                               \
	X(gnutls_dtls_set_timeouts, cshim_fix_libcoap2_timeouts)                                   \
	/* Keeps handshakes that are over from being started again. Fault. In: 4.2.1. Test:        \
	 * TestFlightsGoInOneDatagram, TestObservationsOfAClientMoveTogether. Until: 4.3.1. */     \
	X(gnutls_dtls_get_timeout, cshim_fix_libcoap2_timeout)                                     \
	/* Keeps the end of a session from reading on. Fault. In: 4.2.1. Test: none. Until: 4.3.1. */\
	X(gnutls_bye, cshim_fix_libcoap2_bye)

void cshim_fix_libcoap2_do_events(coap_context_t *ctx);
int cshim_fix_libcoap2_must_wait(int fd);
/* Replace gnutls_dtls_set_timeouts, gnutls_dtls_get_timeout and gnutls_bye in libcoap. */
void cshim_fix_libcoap2_timeouts(void *tls, unsigned retransmission, unsigned total);
unsigned cshim_fix_libcoap2_timeout(void *tls);
int cshim_fix_libcoap2_bye(void *tls, int how);
void cshim_fix_libcoap2_hooks(coap_context_t *ctx);
void cshim_fix_libcoap2_connected(coap_session_t *session);
void cshim_fix_libcoap2_before_send(coap_session_t *session, unsigned nstart);

/* It sends the wrong bytes after a part of a message. */
#define CSHIM_SENDS_WRONG_REST

#define CSHIM_DATA(data) ((uint8_t **)(data))
#define CSHIM_OPTION_NUMBER(iterator) ((iterator).type)

/* The size of messages over TCP is fixed. */
#define CSHIM_SETS_MAX_MESSAGE 0
#define coap_context_set_csm_max_message_size(ctx, bytes) ((void)(ctx), (void)(bytes))

/* Groups of IPv6 alone, on the system's choice of an interface. */
#define CSHIM_JOINS_ANY_GROUP 0
#define coap_join_mcast_group_intf(ctx, group, interface) \
	((void)(interface), coap_join_mcast_group(ctx, group))

/* It lacks this. */
int cshim_fix_libcoap2_set_hops(coap_session_t *session, int hops);
#define coap_mcast_set_hops(session, hops) cshim_fix_libcoap2_set_hops(session, hops)

/* Contexts of a C program are left to it. */
#define CSHIM_ADOPTS 0

/* The loop is not divided: it looks for the events itself. */
#define CSHIM_DO_EVENTS(ctx, events, n) \
	((void)(events), (void)(n), cshim_fix_libcoap2_do_events(ctx))
#define CSHIM_DIVIDED 0

#define CSHIM_ON_REQUEST(name, session, request, response) \
	static void name(coap_context_t *cshim_ctx, coap_resource_t *cshim_resource, \
			 coap_session_t *session, coap_pdu_t *request, \
			 coap_binary_t *cshim_token, coap_string_t *cshim_query, \
			 coap_pdu_t *response)
/* Every response is acknowledged before its handler is called. */
#define CSHIM_REJECTS 0
#define CSHIM_CONFIRMS_AGAIN 1
#define CSHIM_COUNTS_BAD_CODES 0
#define CSHIM_FORGETS_BODIES 0
#define CSHIM_ON_RESPONSE(name, session, received) \
	static void name(coap_context_t *cshim_ctx, coap_session_t *session, coap_pdu_t *cshim_sent, \
			 coap_pdu_t *received, const coap_tid_t cshim_mid)
#define CSHIM_PASS_RESPONSE(c, session, received) ((void)(c))
#define CSHIM_PASS_NACK(c, session, sent, reason) ((void)(c))
#define CSHIM_PASS_PING(kind, session, received) ((void)(session))
#define CSHIM_PASS_EVENT(c, session, event) ((void)(c))
#define CSHIM_ACCEPT_RESPONSE return
#define CSHIM_REJECT_RESPONSE return
#define CSHIM_ON_NACK(name, session, sent, reason) \
	static void name(coap_context_t *cshim_ctx, coap_session_t *session, coap_pdu_t *sent, \
			 coap_nack_reason_t reason, const coap_tid_t cshim_mid)
#define CSHIM_ON_PING(name, session, received) \
	static void name(coap_context_t *cshim_ctx, coap_session_t *session, coap_pdu_t *received, \
			 const coap_tid_t cshim_mid)
#define CSHIM_ON_EVENT(name, session, event) \
	static int name(coap_context_t *cshim_ctx, coap_event_t event, coap_session_t *session)

#else

#include <coap3/coap.h>

#if !defined(LIBCOAP_VERSION) || LIBCOAP_VERSION < 4003001U
#error "gnucoap needs libcoap 4.3.1 or later"
#endif

#define CSHIM_REPLACED_OLD(X)
/* Clients get the time that a DTLS handshake needs: fix_patience.h. */
#define CSHIM_HAVE_PATIENCE

/* Credentials come from memory, and differ among sessions. */
#define CSHIM_HAVE_CREDENTIALS
#define CSHIM_CREDENTIALS 1
#define CSHIM_HEARS_OF_HELLO 0
/* Messages with the option OSCORE are decrypted, or dropped. */
#define CSHIM_TAKES_OSCORE (LIBCOAP_VERSION >= 4003002U)
#define CSHIM_PSK_IDENTITY_MAX 65535
#define CSHIM_PSK_KEY_MAX 65535
#define CSHIM_EVENT_ACCEPTED COAP_EVENT_SERVER_SESSION_NEW

typedef coap_bin_const_t cshim_token;

#define CSHIM_DATA(data) (data)
#define CSHIM_OPTION_NUMBER(iterator) ((iterator).number)
/* Requests for a proxy are refused, unless there is a resource for them. */
#define CSHIM_HAVE_PROXY_RESOURCE

#define CSHIM_JOINS_ANY_GROUP 1
#define CSHIM_SETS_MAX_MESSAGE 1
#define CSHIM_HAVE_ADOPTION
#define CSHIM_ADOPTS 1
#define CSHIM_DO_EVENTS(ctx, events, n) coap_io_do_epoll(ctx, events, n)
#define CSHIM_DIVIDED 1

#define CSHIM_CONTEXT_HOOKS(ctx) ((void)(ctx))
#define CSHIM_CONNECTED(session) ((void)(session))
#define CSHIM_MUST_WAIT(fd) ((void)(fd), 0)
#define CSHIM_COUNTS_TIMEOUTS 1
#define CSHIM_STOPS_ITS_TIMER 0
#define CSHIM_TOKEN_IS_OF_ONE_MESSAGE 0
#define CSHIM_BEFORE_SEND(session, nstart) ((void)(session), (void)(nstart))
#define CSHIM_REJECTS 1
/* It answers a confirmable response that comes again. */
#define CSHIM_CONFIRMS_AGAIN (LIBCOAP_VERSION >= 4003005U)
/* A request that a reserved code ends goes on counting for NSTART. */
#define CSHIM_COUNTS_BAD_CODES (LIBCOAP_VERSION >= 4003005U)
/* The last block of a body that is complete, when it comes again, begins another body. */
#define CSHIM_FORGETS_BODIES (LIBCOAP_VERSION >= 4003005U)

#define CSHIM_ON_REQUEST(name, session, request, response) \
	static void name(coap_resource_t *cshim_resource, coap_session_t *session, \
			 const coap_pdu_t *request, const coap_string_t *cshim_query, \
			 coap_pdu_t *response)
#define CSHIM_ON_RESPONSE(name, session, received) \
	static coap_response_t name(coap_session_t *session, const coap_pdu_t *cshim_sent, \
				    const coap_pdu_t *received, const coap_mid_t cshim_mid)
/* What is not for Go goes to the handler of the C program, if it has one. */
#define CSHIM_PASS_RESPONSE(c, session, received) \
	if ((c)->adoption != NULL) \
	return cshim_adoption_response(c, session, cshim_sent, received, cshim_mid)
#define CSHIM_PASS_NACK(c, session, sent, reason) \
	do { \
		if ((c)->adoption != NULL) \
			cshim_adoption_nack(c, session, sent, reason, cshim_mid); \
	} while (0)
#define CSHIM_PASS_PING(kind, session, received) \
	do { \
		const cshim_context *cshim_c = cshim_context_of(session); \
\
		if (cshim_c->adoption != NULL && cshim_c->adoption->handlers.kind != NULL) \
			cshim_c->adoption->handlers.kind(session, received, cshim_mid); \
	} while (0)
#define CSHIM_PASS_EVENT(c, session, event) \
	do { \
		if ((c)->adoption != NULL) \
			cshim_adoption_event(c, session, event); \
	} while (0)
#define CSHIM_ACCEPT_RESPONSE return COAP_RESPONSE_OK
#define CSHIM_REJECT_RESPONSE return COAP_RESPONSE_FAIL
#define CSHIM_ON_NACK(name, session, sent, reason) \
	static void name(coap_session_t *session, const coap_pdu_t *sent, \
			 const coap_nack_reason_t reason, const coap_mid_t cshim_mid)
#define CSHIM_ON_PING(name, session, received) \
	static void name(coap_session_t *session, const coap_pdu_t *received, const coap_mid_t cshim_mid)
#define CSHIM_ON_EVENT(name, session, event) \
	static int name(coap_session_t *session, const coap_event_t event)

#endif

#endif
