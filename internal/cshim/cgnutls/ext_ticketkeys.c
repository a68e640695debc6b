#include <string.h>

#include "ext_ticketkeys.h"
#include "parse.h"

enum { SESSION_TICKET = 35, PRE_SHARED_KEY = 41, SUPPORTED_VERSIONS = 43, TLS1_3 = 0x0304 };

struct cshim_ticket_keys {
	size_t n;
	struct cshim_ticket_key list[];
};

static int use(cshim_session *s, const struct cshim_ticket_key *k)
{
	gnutls_datum_t key = { (void *)k->key, sizeof(k->key) };

	return gnutls_session_ticket_enable_server(s->tls, &key);
}

int cshim_ext_ticket_keys_set(cshim_session *s, const struct cshim_ticket_key *keys, size_t n)
{
	int ret = use(s, &keys[0]);

	if (ret < 0 || n == 1)
		return ret;
	s->ticket_keys = malloc(sizeof(*s->ticket_keys) + n * sizeof(*keys));
	if (s->ticket_keys == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	s->ticket_keys->n = n;
	memcpy(s->ticket_keys->list, keys, n * sizeof(*keys));
	cshim_hook_attach(s);
	return 0;
}

void cshim_ext_ticket_keys_clear(cshim_session *s)
{
	if (s->ticket_keys == NULL)
		return;
	gnutls_memset(s->ticket_keys->list, 0, s->ticket_keys->n * sizeof(s->ticket_keys->list[0]));
	free(s->ticket_keys);
	s->ticket_keys = NULL;
}

static const struct cshim_ticket_key *key_of(const struct cshim_ticket_keys *keys,
					     struct cshim_bytes ticket)
{
	if (ticket.n < CSHIM_TICKET_NAME_SIZE)
		return NULL;
	for (size_t i = 0; i < keys->n; i++)
		for (size_t j = 0; j < 2; j++)
			if (memcmp(ticket.p, keys->list[i].names[j], CSHIM_TICKET_NAME_SIZE) == 0)
				return &keys->list[i];
	return NULL;
}

/* The key of the first ticket in a ClientHello that has one. */
static const struct cshim_ticket_key *find(const struct cshim_ticket_keys *keys,
					   struct cshim_bytes b,
					   bool datagram)
{
	const size_t ticket_age = 4;
	const struct cshim_ticket_key *k = NULL;
	struct cshim_bytes list = cshim_hello_extensions(b, datagram), body, identities, ticket;

	if (cshim_find_extension(list, PRE_SHARED_KEY, &body) && cshim_vector(&body, 2, &identities))
		while (k == NULL && cshim_vector(&identities, 2, &ticket) && cshim_skip(&identities, ticket_age))
			k = key_of(keys, ticket);
	if (k == NULL && cshim_find_extension(list, SESSION_TICKET, &ticket))
		k = key_of(keys, ticket);
	return k;
}

void cshim_ext_tickets_decline(cshim_session *s, bool on)
{
	const int another = 25;

	s->declines = on;
	gnutls_db_set_cache_expiration(s->tls, gnutls_db_get_default_cache_expiration() *
						       (on ? another : 1));
}

/* Whether a ClientHello for TLS 1.3 has a ticket of an earlier version. */
static bool outdated(struct cshim_bytes list)
{
	struct cshim_bytes ticket, body, versions;

	if (!cshim_find_extension(list, SESSION_TICKET, &ticket) || ticket.n == 0 ||
	    !cshim_find_extension(list, SUPPORTED_VERSIONS, &body) || !cshim_vector(&body, 1, &versions))
		return false;
	for (; versions.n >= 2; cshim_skip(&versions, 2))
		if (cshim_u16(versions.p) == TLS1_3)
			return true;
	return false;
}

void cshim_ext_ticket_keys_message(cshim_session *s, unsigned htype, const gnutls_datum_t *msg)
{
	const struct cshim_ticket_key *k;

	if (s->declines && htype == GNUTLS_HANDSHAKE_FINISHED)
		cshim_ext_tickets_decline(s, false);
	if (htype != GNUTLS_HANDSHAKE_CLIENT_HELLO)
		return;
	if (s->tls13 && outdated(cshim_hello_extensions((struct cshim_bytes){msg->data, msg->size},
							s->datagram)))
		cshim_ext_tickets_decline(s, true);
	if (s->ticket_keys == NULL)
		return;
	k = find(s->ticket_keys, (struct cshim_bytes){ msg->data, msg->size }, s->datagram);
	if (k != NULL)
		use(s, k); /* where it fails the first key stays */
	cshim_ext_ticket_keys_clear(s);
}
