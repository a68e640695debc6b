/* Mends: libcoap makes a session for the first ClientHello of an address, before that has sent a
 * cookie back, and takes no more of them when 100 are open: so 102 datagrams with made-up
 * addresses close a server over DTLS for half a minute. And it gives the ClientHello of a client
 * that has started again from its port to the session of before.
 *
 * So the cookie is asked for and checked here, without a state, before libcoap sees the datagram
 * (RFC 6347, section 4.2.1). A good one from an address that has a session ends that (section
 * 4.2.8): the client sends again and gets a new one.
 *
 * In: 4.3.1 and later. Until: none yet. Test: TestClientHellosOfAddressesThatDoNotAnswer,
 * TestDTLSClientThatRestartsFromTheSamePort. */
#ifndef CSHIM_FIX_COOKIE_H
#define CSHIM_FIX_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct cshim_context;

enum { CSHIM_HELLOS = 16, CSHIM_COOKIE_KEY = 16, CSHIM_HELLO_RANDOM = 32 };

/* A ClientHello with a good cookie. */
struct cshim_hello {
	struct sockaddr_storage from;
	socklen_t from_size;
	unsigned interface;
	uint8_t random[CSHIM_HELLO_RANDOM];
	bool waits; /* for cshim_fix_cookie_settle */
};

struct cshim_cookie {
	uint8_t keys[2][CSHIM_COOKIE_KEY]; /* that of now, and that of before */
	uint64_t since; /* of the first one, in seconds; 0: there is none */
	struct cshim_hello hellos[CSHIM_HELLOS]; /* those that came last */
	unsigned next;
	bool waits; /* one of them does */
	const struct cshim_hello *admitted; /* what libcoap reads now */
	int key;
};

/* Whether libcoap asks for cookies, and its check comes here. */
bool cshim_fix_cookie_works(void);

/* Whether libcoap may have a datagram that has come to an endpoint for DTLS. */
bool cshim_fix_cookie_admits(struct cshim_context *c, int fd, const struct msghdr *message,
			     size_t size);

/* Ends the sessions of clients that have started again. Not inside a call of libcoap. */
void cshim_fix_cookie_settle(struct cshim_context *c);

struct cshim_cookie_key {
	unsigned char *data;
	unsigned size;
};

/* Replaces gnutls_dtls_cookie_verify in libcoap. */
int cshim_fix_cookie_verify(struct cshim_cookie_key *key, void *client, size_t client_size,
			    void *message, size_t size,
			void *state);

#endif
