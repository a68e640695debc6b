#include <errno.h>
#include <string.h>

#include "transport.h"
#include "verify.h"

#define RECORD_TEXT 16384
/* Room for one full record: its text, header, IV, MAC and padding of any suite,
 * and a key update before it. */
#define RECORD_MAX (RECORD_TEXT + 1024)

static ssize_t push(gnutls_transport_ptr_t ptr, const void *p, size_t len)
{
	cshim_session *s = ptr;
	size_t room = s->out_cap - s->out_len;

	if (room == 0) {
		s->full = true;
		errno = EAGAIN;
		return -1;
	}
	if (len > room)
		len = room;
	memcpy(s->out + s->out_len, p, len);
	s->out_len += len;
	return len;
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *p, size_t len)
{
	cshim_session *s = ptr;

	if (s->in_len == 0) {
		if (s->in_eof) {
			s->ended = true;
			return 0;
		}
		s->starved = true;
		errno = EAGAIN;
		return -1;
	}
	if (len > s->in_len)
		len = s->in_len;
	memcpy(p, s->in, len);
	s->in += len;
	s->in_len -= len;
	return len;
}

/* Whether input is there, without waiting. */
static int pull_timeout(gnutls_transport_ptr_t ptr, unsigned ms)
{
	cshim_session *s = ptr;

	(void)ms;
	return s->in_len > 0 || s->in_eof;
}

void cshim_transport_attach(cshim_session *s)
{
	gnutls_transport_set_ptr(s->tls, s);
	gnutls_transport_set_push_function(s->tls, push);
	gnutls_transport_set_pull_function(s->tls, pull);
	gnutls_transport_set_pull_timeout_function(s->tls, pull_timeout);
}

static void begin(cshim_session *s, const uint8_t *in, size_t in_len, bool eof, uint8_t *out, size_t out_cap)
{
	s->in = in;
	s->in_len = in_len;
	s->in_eof = eof;
	s->starved = false;
	s->ended = false;
	s->full = false;
	s->out = out;
	s->out_len = 0;
	s->out_cap = out_cap;
}

static cshim_result end(cshim_session *s, int code, size_t in_len, size_t n)
{
	cshim_result r = { .used = in_len - s->in_len, .made = s->out_len, .n = n };

	/* What GnuTLS says where the input ends within a record. */
	if (code == GNUTLS_E_UNEXPECTED_PACKET_LENGTH && s->ended)
		code = GNUTLS_E_PREMATURE_TERMINATION;
	if (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED) {
		if (s->verify == CSHIM_VERIFY_WAITING)
			r.flags |= CSHIM_VERIFY;
		else if (s->full)
			r.flags |= CSHIM_FULL;
		else if (s->in_len == 0)
			r.flags |= CSHIM_STARVED;
		else
			r.code = GNUTLS_E_INTERNAL_ERROR; /* waits for nothing that can come */
	} else {
		r.code = code;
	}
	if (s->tickets.first != NULL)
		r.flags |= CSHIM_TICKETS;
	if (s->keylog.first != NULL)
		r.flags |= CSHIM_KEYLOG;
	if (s->full)
		s->resume_send = true;
	else if (s->out_cap > 0)
		s->resume_send = false;
	s->in = NULL;
	s->in_len = 0;
	s->out = NULL;
	s->out_len = 0;
	s->out_cap = 0;
	return r;
}

/* GnuTLS also returns EAGAIN for each record of early data that it refuses,
 * with more input at hand. before is how much there was of it. */
static bool skipped_record(const cshim_session *s, int ret, size_t before)
{
	return ret == GNUTLS_E_AGAIN && s->in_len < before && !s->starved && !s->full &&
	       s->verify != CSHIM_VERIFY_WAITING;
}

cshim_result cshim_handshake(cshim_session *s, void *handle, const uint8_t *in, size_t in_len, bool eof,
			     uint8_t *out, size_t out_cap)
{
	size_t before;
	int ret;

	begin(s, in, in_len, eof, out, out_cap);
	s->handle = handle;
	cshim_set_current_handle(handle);
	do {
		before = s->in_len;
		ret = gnutls_handshake(s->tls);
	} while (ret == GNUTLS_E_WARNING_ALERT_RECEIVED || ret == GNUTLS_E_GOT_APPLICATION_DATA ||
		 skipped_record(s, ret, before));
	cshim_set_current_handle(NULL);
	s->handle = NULL;
	return end(s, ret, in_len, 0);
}

cshim_result cshim_recv(cshim_session *s, const uint8_t *in, size_t in_len, bool eof, uint8_t *p, size_t len)
{
	size_t n = 0;
	unsigned flags = 0;
	int code = 0;
	cshim_result r;

	begin(s, in, in_len, eof, NULL, 0);
	while (n < len) {
		ssize_t ret = gnutls_record_recv(s->tls, p + n, len - n);

		if (ret > 0) {
			n += ret;
			/* Saves the caller a call that would only find this out. */
			if (s->in_len == 0 && !s->in_eof && gnutls_record_check_pending(s->tls) == 0) {
				flags = CSHIM_STARVED;
				break;
			}
		} else if (ret == 0) {
			flags = CSHIM_CLOSED;
			break;
		} else if (ret == GNUTLS_E_AGAIN || ret == GNUTLS_E_INTERRUPTED) {
			/* Also after a ticket: only an empty buffer means that
			 * there is no more. */
			if (s->starved || s->full) {
				flags = CSHIM_STARVED;
				break;
			}
		} else if (ret != GNUTLS_E_WARNING_ALERT_RECEIVED) {
			code = ret;
			break;
		}
	}
	r = end(s, code, in_len, n);
	r.flags |= flags;
	return r;
}

cshim_result cshim_send(cshim_session *s, const uint8_t *p, size_t len, uint8_t *out, size_t out_cap)
{
	size_t n = 0;
	int code = 0;

	begin(s, NULL, 0, false, out, out_cap);
	if (s->resume_send) {
		ssize_t ret = gnutls_record_send(s->tls, NULL, 0);

		if (ret < 0) {
			code = ret;
			goto done;
		}
	}
	while (n < len && s->out_cap - s->out_len >= RECORD_MAX) {
		size_t chunk = len - n < RECORD_TEXT ? len - n : RECORD_TEXT;
		ssize_t ret = gnutls_record_send(s->tls, p + n, chunk);

		if (ret > 0) {
			n += ret;
		} else if (ret == GNUTLS_E_AGAIN || ret == GNUTLS_E_INTERRUPTED) {
			/* GnuTLS has the record and goes on with it when it is
			 * called without data. */
			n += chunk;
			code = GNUTLS_E_AGAIN;
			break;
		} else {
			code = ret;
			break;
		}
	}
done:
	return end(s, code, 0, n);
}

cshim_result cshim_bye(cshim_session *s, uint8_t *out, size_t out_cap)
{
	begin(s, NULL, 0, false, out, out_cap);
	return end(s, gnutls_bye(s->tls, GNUTLS_SHUT_WR), 0, 0);
}

cshim_result cshim_alert(cshim_session *s, int level, int description, uint8_t *out, size_t out_cap)
{
	begin(s, NULL, 0, false, out, out_cap);
	return end(s, gnutls_alert_send(s->tls, level, description), 0, 0);
}

cshim_result cshim_alert_for(cshim_session *s, int code, uint8_t *out, size_t out_cap)
{
	begin(s, NULL, 0, false, out, out_cap);
	return end(s, gnutls_alert_send_appropriate(s->tls, code), 0, 0);
}

cshim_result cshim_send_tickets(cshim_session *s, unsigned n, uint8_t *out, size_t out_cap)
{
	begin(s, NULL, 0, false, out, out_cap);
	return end(s, gnutls_session_ticket_send(s->tls, n, 0), 0, 0);
}

cshim_result cshim_session_data(cshim_session *s, const uint8_t *in, size_t in_len, gnutls_datum_t *data)
{
	begin(s, in, in_len, false, NULL, 0);
	return end(s, gnutls_session_get_data2(s->tls, data), in_len, 0);
}

void cshim_set_pull_timeout(cshim_session *s, bool on)
{
	gnutls_transport_set_pull_timeout_function(s->tls, on ? pull_timeout : gnutls_system_recv_timeout);
}
