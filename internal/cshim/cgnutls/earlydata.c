#include "earlydata.h"

/* Exported by callback.go. */
extern int goGnutlsReplayAdd(void *handle);

/* GnuTLS's key begins with the time at which its window began, which differs
 * among objects and processes: it is no use for a record that they share. */
static int replay_add(void *ptr, time_t expires, const gnutls_datum_t *key, const gnutls_datum_t *data)
{
	(void)ptr;
	(void)expires;
	(void)key;
	(void)data;
	return goGnutlsReplayAdd(cshim_current_handle()) < 0 ? GNUTLS_E_DB_ENTRY_EXISTS : 0;
}

int cshim_anti_replay_new(gnutls_anti_replay_t *out, unsigned window_ms)
{
	int ret = gnutls_anti_replay_init(out);

	if (ret < 0)
		return ret;
	gnutls_anti_replay_set_window(*out, window_ms);
	gnutls_anti_replay_set_add_function(*out, replay_add);
	return 0;
}
