#include "ext_earlydata.h"
#include "parse.h"

enum { SUPPORTED_GROUPS = 10, EARLY_DATA = 42, KEY_SHARE = 51 };

/* Exported by callback.go. */
extern int goGnutlsReplayAdd(void *handle);
extern void *goGnutlsEarlyData(void *handle);

/* GnuTLS's key begins with the time at which its window began, which differs
 * among objects and processes: it is no use for a record that they share. */
static int replay_add(void *ptr, time_t expires, const gnutls_datum_t *key,
		      const gnutls_datum_t *data)
{
	(void)ptr;
	(void)expires;
	(void)key;
	(void)data;
	return goGnutlsReplayAdd(cshim_current_handle()) < 0 ? GNUTLS_E_DB_ENTRY_EXISTS : 0;
}

int cshim_ext_anti_replay_new(gnutls_anti_replay_t *out, unsigned window_ms)
{
	int ret = gnutls_anti_replay_init(out);

	if (ret < 0)
		return ret;
	gnutls_anti_replay_set_window(*out, window_ms);
	gnutls_anti_replay_set_add_function(*out, replay_add);
	return 0;
}

void cshim_ext_early_data_attach(cshim_session *s, gnutls_priority_t priority, bool precedence)
{
	s->early_priority = priority;
	s->early_precedence = precedence;
	cshim_hook_attach(s);
}

/* The number of a group in TLS (RFC 8446 section 4.2.7), or 0. */
static unsigned group_number(unsigned group)
{
	switch (group) {
	case GNUTLS_GROUP_SECP192R1:
		return 19;
	case GNUTLS_GROUP_SECP224R1:
		return 21;
	case GNUTLS_GROUP_SECP256R1:
		return 23;
	case GNUTLS_GROUP_SECP384R1:
		return 24;
	case GNUTLS_GROUP_SECP521R1:
		return 25;
	case GNUTLS_GROUP_X25519:
		return 29;
	case GNUTLS_GROUP_X448:
		return 30;
	case GNUTLS_GROUP_FFDHE2048:
		return 256;
	case GNUTLS_GROUP_FFDHE3072:
		return 257;
	case GNUTLS_GROUP_FFDHE4096:
		return 258;
	case GNUTLS_GROUP_FFDHE6144:
		return 259;
	case GNUTLS_GROUP_FFDHE8192:
		return 260;
	}
	return 0;
}

static bool has_share(struct cshim_bytes list, unsigned group)
{
	struct cshim_bytes body, shares, key;

	if (!cshim_find_extension(list, KEY_SHARE, &body) || !cshim_vector(&body, 2, &shares))
		return false;
	while (shares.n >= 2) {
		unsigned found = cshim_u16(shares.p);

		cshim_skip(&shares, 2);
		if (!cshim_vector(&shares, 2, &key))
			return false;
		if (found == group)
			return true;
	}
	return false;
}

/* The group that GnuTLS will choose, or 0: of those that both have, the first of
 * the client's, or with %SERVER_PRECEDENCE the first of the server's. */
static unsigned choose_group(const cshim_session *s, struct cshim_bytes list)
{
	struct cshim_bytes body, offered;
	const unsigned *groups;
	int n = gnutls_priority_group_list(s->early_priority, &groups);
	unsigned chosen = 0;
	size_t first = SIZE_MAX;

	if (!cshim_find_extension(list, SUPPORTED_GROUPS, &body) || !cshim_vector(&body, 2, &offered))
		return 0;
	for (int j = 0; j < n && !(chosen != 0 && s->early_precedence); j++)
		for (size_t i = 0; i + 2 <= offered.n && i < first; i += 2)
			if (cshim_u16(offered.p + i) == group_number(groups[j])) {
				chosen = group_number(groups[j]);
				first = i;
			}
	return chosen;
}

void cshim_ext_early_data_message(cshim_session *s, unsigned htype, const gnutls_datum_t *msg)
{
	struct cshim_bytes list, body;

	if (s->early_priority == NULL || htype != GNUTLS_HANDSHAKE_CLIENT_HELLO)
		return;
	list = cshim_hello_extensions((struct cshim_bytes){ msg->data, msg->size }, s->datagram);
	if (cshim_find_extension(list, EARLY_DATA, &body) && has_share(list, choose_group(s, list)))
		gnutls_anti_replay_enable(s->tls, goGnutlsEarlyData(s->handle));
}
