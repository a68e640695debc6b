#include "ext_borrow.h"
#include "ext_ticketrequest.h"
#include "hook.h"
#include "session.h"

/* Exported by ext_borrow.go. */
extern int goGnutlsBorrowedVerify(void *handle);
extern void goGnutlsBorrowedEnd(void *handle, int alert, int heard);

/* From the range for private use. It never goes over the wire: it is valid only
 * in messages that come before a session is watched. */
enum { EXTENSION = 0xff57 };

static int on_verify(gnutls_session_t tls)
{
	return goGnutlsBorrowedVerify(cshim_session_of(tls)->handle);
}

static int receive_nothing(gnutls_session_t tls, const unsigned char *data, size_t size)
{
	(void)tls;
	(void)data;
	(void)size;
	return 0;
}

static int send_nothing(gnutls_session_t tls, gnutls_buffer_t out)
{
	(void)tls;
	(void)out;
	return 0;
}

/* The one thing that GnuTLS calls when a session is freed: the end of an
 * extension's data. */
static void on_end(gnutls_ext_priv_data_t data)
{
	cshim_session *s = data;

	goGnutlsBorrowedEnd(s->handle, gnutls_alert_get(s->tls),
			    (int)gnutls_handshake_get_last_in(s->tls) >= 0);
	cshim_session_discard(s);
}

int cshim_ext_borrow_watch(gnutls_session_t tls, void *handle, bool server, bool datagram,
			   bool verify)
{
	cshim_session *s = calloc(1, sizeof(*s));
	int ret;

	if (s == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	ret = gnutls_session_ext_register(tls, "watched", EXTENSION, GNUTLS_EXT_NONE,
					  receive_nothing, send_nothing, on_end, NULL, NULL,
					  GNUTLS_EXT_FLAG_HRR);
	if (ret < 0) {
		free(s);
		return ret;
	}
	s->tls = tls;
	s->hook = cshim_hook_message;
	s->server = server;
	s->borrowed = true;
	s->datagram = datagram;
	s->handle = handle;
	gnutls_session_set_ptr(tls, s);
	gnutls_ext_set_data(tls, EXTENSION, s);
	if (verify)
		gnutls_session_set_verify_function(tls, on_verify);
	return 0;
}

void cshim_ext_borrow_keep_tickets(cshim_session *s)
{
	s->keep_tickets = true;
	cshim_hook_attach(s);
}

int cshim_ext_borrow_know_requests(cshim_session *s)
{
	if (s->datagram)
		return 0; /* there is none before TLS 1.3 */
	cshim_hook_attach(s);
	return cshim_ext_ticket_request_attach(s);
}

void cshim_ext_borrow_any_key_usage(cshim_session *s)
{
	s->any_key_usage = true;
	cshim_hook_attach(s);
}
