#include <errno.h>
#include <string.h>

#include "fix_alert.h"
#include "transport.h"
#include "verify.h"

#define RECORD_HEADER 5
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

/* Whether the input ends between two records, as far as GnuTLS has asked. */
static bool between_records(const cshim_session *s)
{
	return s->framed && s->in_len == 0 && s->head_len == 0 && s->body_left == 0;
}

static size_t take(cshim_session *s, void *p, size_t len)
{
	if (len > s->in_len)
		len = s->in_len;
	memcpy(p, s->in, len);
	s->in += len;
	s->in_len -= len;
	return len;
}

/* Fills head with the header of the next record, and with all of it where it
 * may be an alert that is to be left out. Reports whether it is complete. */
static bool fill_head(cshim_session *s)
{
	size_t need = RECORD_HEADER;

	for (;;) {
		if (s->head_len >= RECORD_HEADER)
			need = cshim_fix_alert_suspect(s, s->head);
		if (s->head_len < need) {
			size_t n = take(s, s->head + s->head_len, need - s->head_len);

			s->head_len += n;
			if (n == 0)
				return false;
		} else if (need > RECORD_HEADER && cshim_fix_alert_ignore(s, s->head, need)) {
			s->head_len = 0;
			need = RECORD_HEADER;
		} else {
			s->body_left = RECORD_HEADER + (s->head[3] << 8 | s->head[4]) - s->head_len;
			return true;
		}
	}
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *p, size_t len)
{
	cshim_session *s = ptr;

	if (s->framed && s->body_left == 0 && s->head_given == 0 && !fill_head(s))
		goto empty;
	if (s->head_given < s->head_len) {
		if (len > s->head_len - s->head_given)
			len = s->head_len - s->head_given;
		memcpy(p, s->head + s->head_given, len);
		s->head_given += len;
	} else {
		if (s->framed && len > s->body_left)
			len = s->body_left;
		len = take(s, p, len);
		if (len == 0)
			goto empty;
		if (s->framed)
			s->body_left -= len;
	}
	if (s->head_given == s->head_len && s->body_left == 0)
		s->head_given = s->head_len = 0;
	return len;
empty:
	if (s->in_eof) {
		s->ended = true;
		return 0;
	}
	s->starved = true;
	errno = EAGAIN;
	return -1;
}

/* Whether input is there, without waiting. */
static int pull_timeout(gnutls_transport_ptr_t ptr, unsigned ms)
{
	cshim_session *s = ptr;

	(void)ms;
	return s->in_len > 0 || s->in_eof || s->head_given < s->head_len;
}

void cshim_transport_attach(cshim_session *s)
{
	gnutls_transport_set_ptr(s->tls, s);
	gnutls_transport_set_push_function(s->tls, push);
	gnutls_transport_set_pull_function(s->tls, pull);
	gnutls_transport_set_pull_timeout_function(s->tls, pull_timeout);
}

static void begin(cshim_session *s, const uint8_t *in, size_t in_len, bool eof, uint8_t *out,
		  size_t out_cap)
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

cshim_result cshim_handshake(cshim_session *s, void *handle, const uint8_t *in, size_t in_len,
			     bool eof,
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
	} while ((ret == GNUTLS_E_WARNING_ALERT_RECEIVED && s->warnings++ < CSHIM_MAX_WARNINGS) ||
		 ret == GNUTLS_E_GOT_APPLICATION_DATA || skipped_record(s, ret, before));
	if (ret == GNUTLS_E_WARNING_ALERT_RECEIVED)
		ret = GNUTLS_E_UNEXPECTED_PACKET;
	cshim_set_current_handle(NULL);
	s->handle = NULL;
	return end(s, ret, in_len, 0);
}

cshim_result cshim_recv(cshim_session *s, const uint8_t *in, size_t in_len, bool eof, uint8_t *p,
			size_t len)
{
	size_t n = 0;
	unsigned flags = 0;
	int code = 0;
	cshim_result r;

	begin(s, in, in_len, eof, NULL, 0);
	s->framed = true; /* a handshake ends with a record */
	while (n < len) {
		ssize_t ret;

		/* GnuTLS would not send any more after it. */
		if (eof && between_records(s) && gnutls_record_check_pending(s->tls) == 0) {
			code = GNUTLS_E_PREMATURE_TERMINATION;
			flags = CSHIM_ENDED;
			break;
		}
		ret = gnutls_record_recv(s->tls, p + n, len - n);
		if (ret > 0) {
			n += ret;
			s->warnings = 0;
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
		} else if (ret == GNUTLS_E_FATAL_ALERT_RECEIVED &&
			   gnutls_alert_get(s->tls) == GNUTLS_A_CLOSE_NOTIFY) {
			flags = CSHIM_CLOSED; /* whatever its level */
			break;
		} else if (ret != GNUTLS_E_WARNING_ALERT_RECEIVED) {
			code = ret;
			break;
		} else if (s->warnings++ == CSHIM_MAX_WARNINGS) {
			code = GNUTLS_E_UNEXPECTED_PACKET;
			break;
		}
	}
	r = end(s, code, in_len, n);
	r.flags |= flags;
	return r;
}

cshim_result cshim_send(cshim_session *s, const uint8_t *p, size_t len, uint8_t *out,
			size_t out_cap)
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
	int ret = 0;

	begin(s, NULL, 0, false, out, out_cap);
	if (s->resume_send) /* GnuTLS only goes on with the record under way */
		ret = gnutls_alert_send(s->tls, level, description);
	if (ret >= 0)
		ret = gnutls_alert_send(s->tls, level, description);
	return end(s, ret, 0, 0);
}

cshim_result cshim_alert_for(cshim_session *s, int code, uint8_t *out, size_t out_cap)
{
	int level, description;

	if (code == GNUTLS_E_TOO_MANY_EMPTY_PACKETS || code == GNUTLS_E_TOO_MANY_HANDSHAKE_PACKETS)
		code = GNUTLS_E_UNEXPECTED_PACKET;
	if (!gnutls_error_is_fatal(code) && code != GNUTLS_E_REHANDSHAKE) {
		begin(s, NULL, 0, false, out, out_cap);
		return end(s, 0, 0, 0);
	}
	description = gnutls_error_to_alert(code, &level);
	return cshim_alert(s, level, description, out, out_cap);
}

cshim_result cshim_send_tickets(cshim_session *s, unsigned n, uint8_t *out, size_t out_cap)
{
	begin(s, NULL, 0, false, out, out_cap);
	return end(s, gnutls_session_ticket_send(s->tls, n, 0), 0, 0);
}

cshim_result cshim_session_data(cshim_session *s, const uint8_t *in, size_t in_len,
				gnutls_datum_t *data)
{
	begin(s, in, in_len, false, NULL, 0);
	return end(s, gnutls_session_get_data2(s->tls, data), in_len, 0);
}

void cshim_set_pull_timeout(cshim_session *s, bool on)
{
	gnutls_transport_set_pull_timeout_function(s->tls, on ? pull_timeout : gnutls_system_recv_timeout);
}
