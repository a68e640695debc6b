#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "session.h"

enum { OPTION_HEADER = 6 };

static int read_options(const coap_pdu_t *pdu, struct cshim_message *m, struct cshim_buffer *b)
{
	coap_opt_iterator_t it;
	coap_opt_t *opt;
	size_t used = 0;

	coap_option_iterator_init(pdu, &it, COAP_OPT_ALL);
	while ((opt = coap_option_next(&it)) != NULL) {
		uint32_t n = coap_opt_length(opt);
		unsigned number = CSHIM_OPTION_NUMBER(it);
		uint8_t *p;

		if (b->size < used + OPTION_HEADER + n) {
			size_t size = 2 * (used + OPTION_HEADER + n);

			p = realloc(b->bytes, size);
			if (p == NULL)
				return 0;
			b->bytes = p;
			b->size = size;
		}
		p = b->bytes + used;
		p[0] = number >> 8;
		p[1] = number & 255;
		p[2] = n >> 24;
		p[3] = n >> 16 & 255;
		p[4] = n >> 8 & 255;
		p[5] = n & 255;
		memcpy(p + OPTION_HEADER, coap_opt_value(opt), n);
		used += OPTION_HEADER + n;
	}
	m->options = b->bytes;
	m->options_size = used;
	return 1;
}

int cshim_message_read(const coap_pdu_t *pdu, struct cshim_message *m, struct cshim_buffer *options)
{
	cshim_token token = coap_pdu_get_token(pdu);

	memset(&m->odd, 0, sizeof(m->odd));
	m->type = coap_pdu_get_type(pdu);
	m->code = coap_pdu_get_code(pdu);
	m->mid = coap_pdu_get_mid(pdu);
	m->token = token.s;
	m->token_size = token.length;
	if (!coap_get_data(pdu, &m->body_size, CSHIM_DATA(&m->body))) {
		m->body = NULL;
		m->body_size = 0;
	}
	return read_options(pdu, m, options);
}

/* Reports whether a message cannot fit, at its shortest: libcoap would complain in its log. */
static bool is_too_large(const struct cshim_message *m, size_t most)
{
	const uint8_t *p = m->options;
	size_t size = m->token_size + (m->body_size > 0 ? 1 + m->body_size : 0);

	while (p < m->options + m->options_size) {
		size_t n = (size_t)p[2] << 24 | p[3] << 16 | p[4] << 8 | p[5];

		size += 1 + n;
		p += OPTION_HEADER + n;
	}
	return most > 0 && size > most;
}

coap_pdu_t *cshim_message_make(coap_session_t *session, const struct cshim_message *m)
{
	int mid = m->mid >= 0 ? m->mid : coap_new_message_id(session);
	coap_pdu_t *pdu = coap_pdu_init(m->type, m->code, mid, cshim_session_max_size(session));
	const uint8_t *p = m->options;
	const uint8_t *end = p + m->options_size;

	if (pdu == NULL)
		return NULL;
	if (is_too_large(m, cshim_session_max_size(session)))
		goto failed;
	if (m->token_size > 0 && !coap_add_token(pdu, m->token_size, m->token))
		goto failed;
	while (p < end) {
		unsigned number = p[0] << 8 | p[1];
		size_t n = (size_t)p[2] << 24 | p[3] << 16 | p[4] << 8 | p[5];

		if (coap_add_option(pdu, number, n, p + OPTION_HEADER) == 0)
			goto failed;
		p += OPTION_HEADER + n;
	}
	if (m->body_size > 0 && !coap_add_data(pdu, m->body_size, m->body))
		goto failed;
	return pdu;
failed:
	coap_delete_pdu(pdu);
	return NULL;
}
