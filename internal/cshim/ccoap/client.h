#ifndef CSHIM_CLIENT_H
#define CSHIM_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key and who is trusted, in PEM, each with its NUL; NULL where there is none. */
struct cshim_key {
	char *chain; /* the certificates, the leaf first, or a raw public key */
	char *key;
	char *ca;
	int files[3]; /* that they are in, each its number and 1: they are paths then */
};

/* What libcoap does not copy for a client session. It lives as long as the
 * session. */
struct cshim_client {
	struct cshim_client *next;
	uint64_t id;
	char *name; /* to ask the server for, or NULL */
	size_t identity_size;
	uint8_t *identity;
	size_t key_size;
	uint8_t *key;
	bool connecting; /* over TLS, before there is a session of it */
	bool raw; /* pair is a raw public key */
	void *credentials; /* of GnuTLS, in place of pair, or NULL */
	struct cshim_key pair;
};

void cshim_key_free(struct cshim_key *key);

/* Makes a key one that libcoap can take. Returns false where it cannot. */
bool cshim_key_load(struct cshim_key *key);

/* Adds a copy of what goes with a session. name may be NULL, and so may the
 * others be with a size of 0. Returns NULL where memory is short. */
struct cshim_client *cshim_client_add(struct cshim_client **list, uint64_t id, const char *name,
				      const uint8_t *identity, size_t identity_size, const uint8_t *key,
				      size_t key_size);
struct cshim_client *cshim_client_find(struct cshim_client *list, uint64_t id);
void cshim_client_remove(struct cshim_client **list, uint64_t id);

/* Frees a secret, or NULL. */
void cshim_wipe(void *p, size_t size);

#endif
