#ifndef CPEER_PEER_H
#define CPEER_PEER_H

#include <stddef.h>
#include <stdint.h>
#include <coap3/coap.h>

/* What a client does. The numbers are those of Kind in Go. */
enum cpeer_kind { CPEER_SMALL, CPEER_GET, CPEER_PUT, CPEER_CONNECT };

/* How many requests are made in a session: it ends before it uses a message ID
 * again, because a server may take that for a duplicate. Each block has one. */
enum { CPEER_MAX_REQUESTS = 60000, CPEER_MAX_LARGE = 50 };

/* The bodies that both ends know. */
struct cpeer_bodies {
	const uint8_t *small;
	size_t small_size;
	const uint8_t *large;
	size_t large_size;
	const char *identity;
	const char *key;
};

typedef struct cpeer_server cpeer_server;
typedef struct cpeer_client cpeer_client;

/* Returns NULL on failure. */
cpeer_server *cpeer_server_new(coap_proto_t proto, const struct cpeer_bodies *bodies, int *port);

/* Returns only when the loop fails. */
void cpeer_server_run(cpeer_server *s);

/* A client with so many requests in flight. Returns NULL on failure. */
cpeer_client *cpeer_client_new(coap_proto_t proto, int port, int in_flight,
			       const struct cpeer_bodies *bodies);

/* Makes requests in a new session until the time or the session's message IDs are
 * over, or limit is reached, and waits for the last of them. Where limit is not 0, CPEER_CONNECT
 * keeps its sessions. Returns NULL, or what failed. */
const char *cpeer_client_run(cpeer_client *c, enum cpeer_kind kind, uint64_t milliseconds,
			     size_t limit, size_t *done);

/* Frees a client that keeps no sessions. */
void cpeer_client_free(cpeer_client *c);

#endif
