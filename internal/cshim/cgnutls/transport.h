#ifndef CSHIM_TRANSPORT_H
#define CSHIM_TRANSPORT_H

#include "base.h"

/* The memory transport. GnuTLS reads from and writes to buffers that Go lends
 * for one call and never waits: Go does all I/O between the calls. Each call
 * tells how much of the input it used up and how much output it made.
 *
 * Input that a call leaves over must be the start of the next call's input.
 * Output that does not fit stays in GnuTLS; the call reports CSHIM_FULL and
 * must be made again once the buffer is empty. A call without an output
 * buffer leaves all output in GnuTLS, for the next call that has one. */

enum {
	CSHIM_STARVED = 1,    /* needs more input */
	CSHIM_FULL = 2,       /* needs an empty output buffer */
	CSHIM_CLOSED = 4,     /* the peer sent close_notify */
	CSHIM_VERIFY = 8,     /* the handshake waits for cshim_verify_accept */
	CSHIM_TICKETS = 16,   /* tickets wait to be taken */
	CSHIM_KEYLOG = 32,    /* key log lines wait to be taken */
	CSHIM_ENDED = 64,     /* the input ended between two records; sending goes on */
};

typedef struct cshim_result {
	int code;       /* 0, or the error that ended the call */
	unsigned flags;
	size_t used;    /* input bytes */
	size_t made;    /* output bytes */
	size_t n;       /* application bytes */
} cshim_result;

void cshim_transport_attach(cshim_session *s);

cshim_result cshim_handshake(cshim_session *s, void *handle, const uint8_t *in, size_t in_len,
			     bool eof,
			     uint8_t *out, size_t out_cap);
/* p is the program's own memory: not void *, of which cgo would check all that
 * lies around it for pointers. */
cshim_result cshim_recv(cshim_session *s, const uint8_t *in, size_t in_len, bool eof, uint8_t *p,
			size_t len);
cshim_result cshim_send(cshim_session *s, const uint8_t *p, size_t len, uint8_t *out,
			size_t out_cap);
cshim_result cshim_bye(cshim_session *s, uint8_t *out, size_t out_cap);
cshim_result cshim_alert(cshim_session *s, int level, int description, uint8_t *out,
			 size_t out_cap);
cshim_result cshim_alert_for(cshim_session *s, int code, uint8_t *out, size_t out_cap);
cshim_result cshim_send_tickets(cshim_session *s, unsigned n, uint8_t *out, size_t out_cap);

cshim_result cshim_session_data(cshim_session *s, const uint8_t *in, size_t in_len,
				gnutls_datum_t *data);

void cshim_set_pull_timeout(cshim_session *s, bool on);

#endif
