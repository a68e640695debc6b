#include <string.h>

#include "callback.h"
#include "parse.h"

/* Exported by callback.go. Memory that they return was made by gnutls_malloc. */
extern int goGnutlsPSK(void *handle, void *identity, size_t size, gnutls_datum_t *key);
extern void *goGnutlsClientHello(void *handle, void *name, size_t size);
extern void *goGnutlsBorrowedHello(void *handle, void *name, size_t size);
extern int goGnutlsStorePut(void *handle, void *id, size_t id_size, void *data, size_t size);
extern int goGnutlsStoreGet(void *handle, void *id, size_t id_size, gnutls_datum_t *data);
extern int goGnutlsStoreDelete(void *handle, void *id, size_t id_size);
extern int goGnutlsLimitTickets(void *handle, int new_session, int resumption, int resumed, int n);
extern int goGnutlsBorrowedLimit(void *handle, int new_session, int resumption, int resumed,
				 int n); /* ext_borrow.go */

static int psk_key(gnutls_session_t tls, const gnutls_datum_t *username, gnutls_datum_t *key)
{
	cshim_session *s = cshim_session_of(tls);

	return goGnutlsPSK(s->handle, username->data, username->size, key);
}

void cshim_psk_server(gnutls_psk_server_credentials_t cred)
{
	gnutls_psk_set_server_credentials_function2(cred, psk_key);
}

enum { SERVER_NAME = 0, HOST_NAME = 0, MAX_NAME = 255 };

/* The first host name that a ClientHello asks for, or nothing. */
static struct cshim_bytes host_name(struct cshim_bytes hello, bool datagram)
{
	struct cshim_bytes list = cshim_hello_extensions(hello, datagram), body, names, name;

	if (!cshim_find_extension(list, SERVER_NAME, &body) || !cshim_vector(&body, 2, &names))
		names.n = 0;
	while (names.n > 0) {
		uint8_t type = *names.p;

		if (!cshim_skip(&names, 1) || !cshim_vector(&names, 2, &name))
			break;
		if (type == HOST_NAME && name.n <= MAX_NAME)
			return name;
	}
	return (struct cshim_bytes){ NULL, 0 };
}

void cshim_client_hello_attach(cshim_session *s)
{
	s->by_name = true;
	cshim_hook_attach(s);
}

int cshim_client_hello_message(cshim_session *s, unsigned htype, const gnutls_datum_t *msg)
{
	struct cshim_bytes name;
	void *cred;

	if (!s->by_name || htype != GNUTLS_HANDSHAKE_CLIENT_HELLO)
		return 0;
	name = host_name((struct cshim_bytes){ msg->data, msg->size }, s->datagram);
	if (name.n == 0)
		return 0;
	cred = s->borrowed ? goGnutlsBorrowedHello(s->handle, (void *)name.p, name.n) :
			     goGnutlsClientHello(s->handle, (void *)name.p, name.n);
	return cred == NULL ? 0 : gnutls_credentials_set(s->tls, GNUTLS_CRD_CERTIFICATE, cred);
}

static int store_put(void *ptr, gnutls_datum_t key, gnutls_datum_t data)
{
	cshim_session *s = ptr;

	return goGnutlsStorePut(s->handle, key.data, key.size, data.data, data.size);
}

static gnutls_datum_t store_get(void *ptr, gnutls_datum_t key)
{
	cshim_session *s = ptr;
	gnutls_datum_t data = { NULL, 0 };

	goGnutlsStoreGet(s->handle, key.data, key.size, &data);
	return data;
}

static int store_delete(void *ptr, gnutls_datum_t key)
{
	cshim_session *s = ptr;

	return goGnutlsStoreDelete(s->handle, key.data, key.size);
}

void cshim_store_attach(cshim_session *s)
{
	gnutls_db_set_ptr(s->tls, s);
	gnutls_db_set_store_function(s->tls, store_put);
	gnutls_db_set_retrieve_function(s->tls, store_get);
	gnutls_db_set_remove_function(s->tls, store_delete);
}

int cshim_limit_tickets(cshim_session *s, const struct cshim_ticket_counts *asked, bool resumed,
			int n)
{
	if (s->borrowed)
		return goGnutlsBorrowedLimit(s->handle, asked->new_session, asked->resumption, resumed, n);
	return goGnutlsLimitTickets(s->handle, asked->new_session, asked->resumption, resumed, n);
}
