#ifndef CSHIM_BASE_H
#define CSHIM_BASE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "library.h"

/* What a session is, and what it keeps for Go: the ground that the other files of this
 * package stand on. */

/* One message for Go, kept until Go takes it: a ticket or a line of a key log. */
struct cshim_item {
	struct cshim_item *next;
	gnutls_datum_t message; /* the NewSessionTicket, or the line */
	gnutls_datum_t session; /* what gnutls_session_get_data2 gave, or empty */
};

struct cshim_queue {
	struct cshim_item *first;
	struct cshim_item *last;
	size_t n;
};

/* How many tickets a client asks for, see ext_ticketrequest.h. */
struct cshim_ticket_counts {
	bool present;
	uint8_t new_session;
	uint8_t resumption;
};

struct cshim_ticket_request {
	struct cshim_ticket_counts asked; /* by the client */
	bool answered;                    /* by the server */
	uint8_t expected;

	/* What follows is the server's. */
	uint8_t limit;
	bool limited;    /* ask Callbacks.LimitTickets */
	unsigned hellos; /* ClientHellos so far: two after a HelloRetryRequest */
	unsigned modes;    /* bits of the key exchange modes that it resumes with */
	bool unusable;     /* the client has none of them, and gets no tickets */
};

/* The longest record that may be an alert, see fix_alert.h. */
#define CSHIM_ALERT_RECORD (5 + 3 + 16)

/* Looks at a handshake message, before and after GnuTLS deals with it. Returns 0, or what the
 * handshake fails with. */
struct cshim_session;
typedef int cshim_message_hook(struct cshim_session *s, unsigned htype, unsigned when,
			       bool incoming,
			       const gnutls_datum_t *msg);

/* What a gnutls_session_t needs beside it. The address is stable: the session
 * carries it as its transport and session pointer. */
typedef struct cshim_session {
	gnutls_session_t tls;
	cshim_message_hook *hook; /* what looks at handshake messages: hook.h */
	bool server;
	bool borrowed; /* another library owns tls, see ext_borrow.h */
	bool datagram; /* DTLS */

	/* The buffers of the call in progress, see transport.h. */
	const uint8_t *in;
	size_t in_len;
	bool in_eof;
	bool starved; /* pull found no input */
	bool ended;   /* pull found the end of the input */
	uint8_t *out;
	size_t out_len;
	size_t out_cap;
	bool full;    /* push found no room */
	bool resume_send; /* output of an earlier call is still in GnuTLS */

	/* Where the input is within its records, see transport.c. */
	bool framed;
	uint8_t head[CSHIM_ALERT_RECORD]; /* start of a record */
	size_t head_len;
	size_t head_given; /* to GnuTLS */
	size_t body_left;  /* bytes of the record that follow head and have yet to come */
	unsigned warnings; /* alerts that mean nothing, since data have come */

	void *handle; /* of the Go value that a handshake's callbacks are for */

	int verify;   /* see verify.h */
	bool by_name; /* a server's, see callback.h */
	bool any_key_usage; /* of the peer's certificate */

	bool offered_tls13;    /* see fix_hello.h */
	uint8_t hello_id[32];  /* session ID of the ClientHello */
	size_t hello_id_size;
	uint16_t suite; /* cipher suite of the ServerHello */

	bool early_data; /* sent by a client, see fix_hello.h */
	/* Of a server that takes early data, see ext_earlydata.h. */
	gnutls_priority_t early_priority;
	bool early_precedence;

	struct cshim_ticket_request ticket_request;
	struct cshim_ticket_keys *ticket_keys; /* a server's, see ext_ticketkeys.h */
	bool tls13;    /* a server may choose TLS 1.3 */
	bool declines; /* a server reads no tickets */

	bool keep_tickets;
	struct cshim_item *ticket; /* being received */
	struct cshim_queue tickets;
	struct cshim_queue keylog;
} cshim_session;

/* The shim session of a GnuTLS session. */
cshim_session *cshim_session_of(gnutls_session_t tls);

/* The handle of the handshake that this thread is in, or NULL. For callbacks
 * that GnuTLS gives no session. */
void *cshim_current_handle(void);
void cshim_set_current_handle(void *handle);

/* Queues. An item and what it holds are counted as one live buffer. */
void cshim_queue_add(struct cshim_queue *q, struct cshim_item *item);
struct cshim_item *cshim_queue_take(struct cshim_queue *q);
struct cshim_item *cshim_item_new(const void *message, size_t size);
void cshim_item_free(struct cshim_item *item);
int64_t cshim_items_live(void);

/* Has the hook of a session called. */
void cshim_hook_attach(cshim_session *s);

#endif
