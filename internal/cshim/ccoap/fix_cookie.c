#define _GNU_SOURCE
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "_cgo_export.h"
#include "fix_cookie.h"
#include "interpose.h"
#include "session.h"

/* gnutls_dtls_prestate_st. */
struct state {
	unsigned record_seq, hsk_read_seq, hsk_write_seq;
};

/* What a ClientHello begins with: the headers of record and message, the version, and the random
 * number. */
enum { RECORD = 13, HEADER = 12, RANDOM = RECORD + HEADER + 2, SMALLEST = 60 };

typedef int verify_function(struct cshim_cookie_key *key, void *client, size_t client_size,
			    void *message, size_t size,
			    void *state);
typedef ssize_t push_function(void *to, const void *bytes, size_t size);
typedef int send_function(struct cshim_cookie_key *key, void *client, size_t client_size,
			  struct state *state, void *to,
			  push_function *push);
typedef void random_function(void *tls, struct cshim_cookie_key *client,
			     struct cshim_cookie_key *server);

static void make_key(struct cshim_cookie *cookie)
{
	const unsigned age = 30;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (cookie->since != 0 && (uint64_t)now.tv_sec - cookie->since < age)
		return;
	memcpy(cookie->keys[1], cookie->keys[0], CSHIM_COOKIE_KEY);
	while (getrandom(cookie->keys[0], CSHIM_COOKIE_KEY, 0) != CSHIM_COOKIE_KEY)
		;
	if (cookie->since == 0)
		memcpy(cookie->keys[1], cookie->keys[0], CSHIM_COOKIE_KEY);
	cookie->since = now.tv_sec;
}

struct reply {
	int fd;
	const struct msghdr *to;
};

/* The socket's address that a datagram was sent to, and the interface. */
static const struct cmsghdr *find_info(const struct msghdr *message, unsigned *interface)
{
	struct cmsghdr *info;

	*interface = 0;
	for (info = CMSG_FIRSTHDR(message); info != NULL;
	     info = CMSG_NXTHDR((struct msghdr *)message, info)) {
		if (info->cmsg_level == IPPROTO_IP && info->cmsg_type == IP_PKTINFO) {
			*interface = ((struct in_pktinfo *)CMSG_DATA(info))->ipi_ifindex;
			return info;
		}
		if (info->cmsg_level == IPPROTO_IPV6 && info->cmsg_type == IPV6_PKTINFO) {
			*interface = ((struct in6_pktinfo *)CMSG_DATA(info))->ipi6_ifindex;
			return info;
		}
	}
	return NULL;
}

static ssize_t push(void *to, const void *bytes, size_t size)
{
	const struct reply *reply = to;
	struct iovec vector = { (void *)bytes, size };
	struct msghdr message = {
		.msg_name = reply->to->msg_name,
		.msg_namelen = reply->to->msg_namelen,
		.msg_iov = &vector,
		.msg_iovlen = 1,
	};
	unsigned interface;
	const struct cmsghdr *info = find_info(reply->to, &interface);

	if (info != NULL) {
		message.msg_control = (void *)info;
		message.msg_controllen = CMSG_ALIGN(info->cmsg_len);
	}
	return sendmsg(reply->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void ask(struct cshim_cookie *cookie, int fd, const struct msghdr *message,
		const uint8_t *bytes)
{
	struct cshim_cookie_key key = { cookie->keys[0], CSHIM_COOKIE_KEY };
	struct state state = { .record_seq = bytes[10] };
	struct reply reply = { fd, message };
	static void *known;
	send_function *send = cshim_interpose_known(&known, "gnutls_dtls_cookie_send");

	send(&key, message->msg_name, message->msg_namelen, &state, &reply, push);
}

static bool is_good(struct cshim_cookie *cookie, const struct msghdr *message, uint8_t *bytes,
		    size_t size)
{
	struct state state;
	int i;

	for (i = 0; i < 2; i++) {
		struct cshim_cookie_key key = { cookie->keys[i], CSHIM_COOKIE_KEY };

		cookie->key = i;
		if (CSHIM_NEXT(verify_function, gnutls_dtls_cookie_verify)
		    (&key, message->msg_name, message->msg_namelen, bytes, size, &state) == 0)
			return true;
	}
	return false;
}

static const struct cshim_hello *note(struct cshim_cookie *cookie, const struct msghdr *message,
				      const uint8_t *bytes)
{
	struct cshim_hello *hello = &cookie->hellos[cookie->next++ % CSHIM_HELLOS];

	memset(hello, 0, sizeof(*hello));
	memcpy(&hello->from, message->msg_name, message->msg_namelen);
	hello->from_size = message->msg_namelen;
	find_info(message, &hello->interface);
	memcpy(hello->random, bytes + RANDOM, CSHIM_HELLO_RANDOM);
	hello->waits = cookie->waits = true;
	return hello;
}

/* Whether an address has just sent a good cookie. */
static bool is_known(const struct cshim_cookie *cookie, const struct msghdr *message)
{
	int i;

	for (i = 0; i < CSHIM_HELLOS; i++) {
		const struct cshim_hello *hello = &cookie->hellos[i];

		if (hello->from_size == message->msg_namelen &&
		    memcmp(&hello->from, message->msg_name, message->msg_namelen) == 0)
			return true;
	}
	return false;
}

bool cshim_fix_cookie_works(void)
{
	return CSHIM_WORKS(gnutls_dtls_cookie_verify);
}

bool cshim_fix_cookie_admits(cshim_context *c, int fd, const struct msghdr *message, size_t size)
{
	struct cshim_cookie *cookie = &c->cookie;
	uint8_t *bytes = message->msg_iov[0].iov_base;
	const uint8_t handshake = 22, client_hello = 1;

	cookie->admitted = NULL;
	if (size <= RECORD || bytes[0] != handshake || bytes[3] != 0 || bytes[4] != 0 ||
	    bytes[RECORD] != client_hello)
		return true;
	if (!cshim_fix_cookie_works())
		return true;
	if (size < SMALLEST || message->msg_namelen > sizeof(struct sockaddr_storage))
		return false;
	if (bytes[RECORD + 6] != 0 || bytes[RECORD + 7] != 0 ||
	    bytes[RECORD + 8] != 0) /* a later part of it */
		return is_known(cookie, message);
	make_key(cookie);
	if (!is_good(cookie, message, bytes, size)) {
		ask(cookie, fd, message, bytes);
		return false;
	}
	cookie->admitted = note(cookie, message, bytes);
	return true;
}

int cshim_fix_cookie_verify(struct cshim_cookie_key *key, void *client, size_t client_size,
			    void *message, size_t size,
			void *state)
{
	verify_function *verify = CSHIM_NEXT(verify_function, gnutls_dtls_cookie_verify);
	cshim_context *c = cshim_reading();
	struct cshim_cookie_key ours;

	if (c == NULL || c->cookie.admitted == NULL)
		return verify(key, client, client_size, message, size, state);
	ours = (struct cshim_cookie_key){ c->cookie.keys[c->cookie.key], CSHIM_COOKIE_KEY };
	return verify(&ours, (void *)&c->cookie.admitted->from, c->cookie.admitted->from_size,
		      message, size, state);
}

static bool began_with(void *tls, const uint8_t *random)
{
	struct cshim_cookie_key client = { 0 }, server = { 0 };
	static void *known;
	random_function *get = cshim_interpose_known(&known, "gnutls_session_get_random");

	get(tls, &client, &server);
	return client.size != CSHIM_HELLO_RANDOM || memcmp(client.data, random, CSHIM_HELLO_RANDOM) == 0;
}

static void settle(cshim_context *c, const struct cshim_hello *hello)
{
	coap_address_t from;
	coap_session_t *session;
	void *tls;

	coap_address_init(&from);
	memcpy(&from.addr, &hello->from,
	       hello->from_size < sizeof(from.addr) ? hello->from_size : sizeof(from.addr));
	from.size = hello->from_size;
	session = coap_session_get_by_peer(c->ctx, &from, hello->interface);
	if (session == NULL || cshim_session_is_client(session) ||
	    coap_session_get_proto(session) != COAP_PROTO_DTLS)
		return;
	tls = cshim_session_tls(session);
	if (tls == NULL || began_with(tls, hello->random))
		return;
	coap_session_reference(session);
	goCoapEvent(c->handle, cshim_session_id(session), COAP_EVENT_DTLS_CLOSED);
	coap_session_disconnected(session, COAP_NACK_TLS_FAILED);
	coap_session_release(session);
}

void cshim_fix_cookie_settle(cshim_context *c)
{
	int i;

	for (i = 0; c->cookie.waits && i < CSHIM_HELLOS; i++) {
		if (c->cookie.hellos[i].waits)
			settle(c, &c->cookie.hellos[i]);
		c->cookie.hellos[i].waits = false;
	}
	c->cookie.waits = false;
}
