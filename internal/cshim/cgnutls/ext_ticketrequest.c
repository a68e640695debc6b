#include "callback.h"
#include "ext_ticketrequest.h"
#include "parse.h"

enum {
	TICKET_REQUEST = 58,
	PSK_KEY_EXCHANGE_MODES = 45,
	CLIENT_SIZE = 2, /* new_session_count, resumption_count */
	SERVER_SIZE = 1, /* expected_count */
};

static int client_send(cshim_session *s, gnutls_buffer_t out)
{
	const struct cshim_ticket_counts *asked = &s->ticket_request.asked;
	uint8_t body[CLIENT_SIZE] = { asked->new_session, asked->resumption };
	int ret;

	if (!asked->present)
		return 0;
	ret = gnutls_buffer_append_data(out, body, sizeof(body));
	return ret < 0 ? ret : (int)sizeof(body);
}

static int client_recv(cshim_session *s, const uint8_t *data, size_t size)
{
	struct cshim_ticket_request *t = &s->ticket_request;

	if (gnutls_ext_get_current_msg(s->tls) != GNUTLS_EXT_FLAG_EE)
		return GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
	if (!t->asked.present)
		return GNUTLS_E_RECEIVED_ILLEGAL_EXTENSION;
	if (size != SERVER_SIZE)
		return GNUTLS_E_UNEXPECTED_EXTENSIONS_LENGTH;
	if (t->answered)
		return GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
	t->answered = true;
	t->expected = data[0];
	return 0;
}

static int server_recv(cshim_session *s, const uint8_t *data, size_t size)
{
	struct cshim_ticket_request *t = &s->ticket_request;
	bool retried = t->hellos > 1;

	if (gnutls_protocol_get_version(s->tls) != GNUTLS_TLS1_3)
		return 0;
	if (size != CLIENT_SIZE)
		return GNUTLS_E_UNEXPECTED_EXTENSIONS_LENGTH;
	if (retried && (!t->asked.present || t->asked.new_session != data[0] ||
			t->asked.resumption != data[1]))
		return GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
	t->asked = (struct cshim_ticket_counts){ true, data[0], data[1] };
	return 0;
}

/* Only when EncryptedExtensions is made is it known whether the session is
 * resumed. */
static int server_send(cshim_session *s, gnutls_buffer_t out)
{
	struct cshim_ticket_request *t = &s->ticket_request;
	bool resumed = gnutls_session_is_resumed(s->tls);
	int n, ret;

	if (!t->asked.present)
		return 0;
	n = resumed ? t->asked.resumption : t->asked.new_session;
	if (n > t->limit)
		n = t->limit;
	if (t->unusable)
		n = 0;
	if (t->limited) {
		n = cshim_limit_tickets(s, &t->asked, resumed, n);
		if (n < 0)
			return GNUTLS_E_INTERNAL_ERROR;
	}
	t->answered = true;
	t->expected = n;
	ret = gnutls_buffer_append_data(out, &t->expected, SERVER_SIZE);
	return ret < 0 ? ret : SERVER_SIZE;
}

static int on_send(gnutls_session_t tls, gnutls_buffer_t out)
{
	cshim_session *s = cshim_session_of(tls);

	return s->server ? server_send(s, out) : client_send(s, out);
}

static int on_recv(gnutls_session_t tls, const unsigned char *data, size_t size)
{
	cshim_session *s = cshim_session_of(tls);

	return s->server ? server_recv(s, data, size) : client_recv(s, data, size);
}

int cshim_ext_ticket_request_attach(cshim_session *s)
{
	/* A client registers for the messages in which it refuses the
	 * extension, and for those that it did not ask for. */
	unsigned flags = GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_EE |
			 GNUTLS_EXT_FLAG_IGNORE_CLIENT_REQUEST;

	if (!s->server)
		flags |= GNUTLS_EXT_FLAG_TLS13_SERVER_HELLO | GNUTLS_EXT_FLAG_HRR |
			 GNUTLS_EXT_FLAG_TLS12_SERVER_HELLO;
	return gnutls_session_ext_register(s->tls, "ticket_request", TICKET_REQUEST, GNUTLS_EXT_TLS,
					   on_recv, on_send, NULL, NULL, NULL, flags);
}

/* Whether a client that sends these extensions could use tickets: without key
 * exchange modes GnuTLS makes some, too. 3.7.1 looks at the client's first mode
 * alone. */
static bool usable(unsigned modes, struct cshim_bytes list)
{
	const unsigned known = 1u << 0 | 1u << 1;
	struct cshim_bytes body, offered;
	bool first_only = gnutls_check_version("3.7.2") == NULL;

	if (!cshim_find_extension(list, PSK_KEY_EXCHANGE_MODES, &body) ||
	    !cshim_vector(&body, 1, &offered))
		return true;
	for (size_t i = 0; i < offered.n; i++) {
		unsigned mode = offered.p[i] < 8 ? 1u << offered.p[i] : 0;

		if (modes & mode)
			return true;
		if (first_only && known & mode)
			return false;
	}
	return false;
}

static bool in_certificates(struct cshim_bytes b)
{
	struct cshim_bytes v, entries, cert, list;

	if (!cshim_vector(&b, 1, &v) || !cshim_vector(&b, 3, &entries))
		return false;
	while (cshim_vector(&entries, 3, &cert) && cshim_vector(&entries, 2, &list))
		if (cshim_find_extension(list, TICKET_REQUEST, &v))
			return true;
	return false;
}

static bool in_certificate_request(struct cshim_bytes b)
{
	struct cshim_bytes v, list;

	return cshim_vector(&b, 1, &v) && cshim_vector(&b, 2, &list) &&
	       cshim_find_extension(list, TICKET_REQUEST, &v);
}

static bool in_ticket(struct cshim_bytes b)
{
	const size_t lifetime_and_age = 8;
	struct cshim_bytes v, list;

	return cshim_skip(&b, lifetime_and_age) && cshim_vector(&b, 1, &v) && cshim_vector(&b, 2, &v) &&
	       cshim_vector(&b, 2, &list) && cshim_find_extension(list, TICKET_REQUEST, &v);
}

/* A request that is gone from the second ClientHello is found here, before the
 * keys change: the client could not read an alert that came later. */
static int client_hello(struct cshim_ticket_request *t, struct cshim_bytes list)
{
	struct cshim_bytes body;

	t->hellos++;
	t->unusable = !usable(t->modes, list);
	if (t->asked.present && !cshim_find_extension(list, TICKET_REQUEST, &body))
		return GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
	return 0;
}

int cshim_ext_ticket_request_message(cshim_session *s, unsigned htype, const gnutls_datum_t *msg)
{
	struct cshim_bytes b = { msg->data, msg->size };
	bool found = false;

	if (s->server)
		return htype == GNUTLS_HANDSHAKE_CLIENT_HELLO && !s->datagram ?
			       client_hello(&s->ticket_request, cshim_hello_extensions(b, false)) :
			       0;
	if (gnutls_protocol_get_version(s->tls) != GNUTLS_TLS1_3)
		return 0;
	switch (htype) {
	case GNUTLS_HANDSHAKE_CERTIFICATE_REQUEST:
		found = in_certificate_request(b);
		break;
	case GNUTLS_HANDSHAKE_CERTIFICATE_PKT:
		found = in_certificates(b);
		break;
	case GNUTLS_HANDSHAKE_NEW_SESSION_TICKET:
		found = in_ticket(b);
		break;
	}
	return found ? GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER : 0;
}
