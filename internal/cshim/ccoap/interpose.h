#ifndef CSHIM_INTERPOSE_H
#define CSHIM_INTERPOSE_H

#include <stdbool.h>

#include "compat.h"

/* The functions that are replaced in libcoap.
 *
 * libcoap calls functions of other libraries, and its own public ones, through a table
 * in memory that the dynamic linker has filled. cshim_interpose_apply puts the
 * functions of this package into that table: once, before the first context, and in the
 * image of libcoap alone. Nobody else's calls change, and no object of this package
 * defines a name of libc, GnuTLS or libcoap; a test holds that.
 *
 * That is the image in which the dynamic linker has found libcoap for this package, and no other: a
 * copy that a plugin has linked statically, or brings with dlmopen, keeps its calls
 * (TestCopiesOfLibcoapAreLeftAlone). A plugin with the same libcoap shares the image, which is
 * never unloaded: what this package is in depends on it, and a library in Go stays when it is
 * closed (TestResumptionHoweverLibcoapIsLinked).
 *
 * To add one:
 *   1. a line below: the symbol and our function, with a comment in this form, which a test
 *      reads: what ours does for libcoap, and where; Fault, Feature or Speed; "In:" the
 *      versions that need it; "Test:" what shows that they do; "Until:" the version that does
 *      not need it any more;
 *   2. the function, of the very type of the symbol, declared in a header that
 *      replaced.c includes.
 * Ours calls the function that libcoap would have called with
 * CSHIM_NEXT(type, symbol)(…). It is also called for contexts of C programs in the same
 * process, and has to pass straight on while the thread is not inside a context of ours:
 * cshim_fix_streams_current(), cshim_ext_tls_current() and the like tell.
 * A symbol that this libcoap does not call is not replaced: that is no error, and
 * cshim_interpose_works tells. So does it where nothing can be replaced: with the build tag
 * nointerpose, on processors other than amd64 and arm64, where the table cannot be made
 * writable, and for libcoap's own functions where it is linked statically. There the table is
 * the program's: what it calls of libc and GnuTLS comes here too. */

/* libcoap and the network. */
#define CSHIM_REPLACED_NETWORK(X)                                                            \
	/* Keeps back what libcoap must not have of a connection (fix_stream_read.h, fix_wire.h),   \
	 * and looks at datagrams as for recvmsg. Faults. In: all versions. Test:                   \
	 * TestTCPMessagesThatComeInPieces, TestNothingCountsBehindTheEnd. Until: none yet. */      \
	X(recv, cshim_receive_recv)                                                                 \
	/* Gathers messages into one segment, and notes what a connection does not take             \
	 * (fix_stream_send.h). Speed, faults. In: all versions. Test:                              \
	 * TestMessagesDoNotWaitForOneAnother, TestMessagesThatGoOutInParts. Until: none yet; the   \
	 * wrong rest of a message and SIGPIPE: 4.3.1. */                                           \
	X(send, cshim_fix_stream_send)                                                              \
	/* Tells of acknowledgements and resets (ext_heard.h), reads ahead (ext_datagram.h), and    \
	 * drops or changes what libcoap takes wrongly (fix_datagram.h, fix_crossing.h,             \
	 * fix_cookie.h). Feature, speed, faults. In: all versions. Test:                           \
	 * TestObserverThatRejectsANotificationIsForgotten, TestReservedCodesCountForNothing.       \
	 * Until: none yet. */                                                                      \
	X(recvmsg, cshim_receive_recvmsg)                                                           \
	/* Takes the cookies that were checked before libcoap sees a ClientHello (fix_cookie.h).    \
	 * Fault. In: 4.3.1 and later. Test: TestClientHellosOfAddressesThatDoNotAnswer. Until:     \
	 * none yet. */                                                                             \
	X(gnutls_dtls_cookie_verify, cshim_fix_cookie_verify)                                       \
	/* Does as recvmsg for datagrams over DTLS, and as recv for connections over TLS. Feature,  \
	 * faults. In: all versions. Test: TestServerSurvivesBadDatagrams,                          \
	 * TestServerSurvivesBadStreams. Until: none yet. */                                        \
	X(gnutls_record_recv, cshim_receive_record)                                                 \
	/* Tells that recv is called for TLS (fix_stream_read.h), and bounds a flight over DTLS     \
	 * (ext_flight.h). Feature. In: all versions. Test: TestHandshakeKeepsToTheMTU. Until: none \
	 * yet. */                                                                                  \
	X(gnutls_handshake, cshim_receive_handshake)                                                \
	/* Tells of connections to be read from again, where libcoap asks for events itself         \
	 * (fix_stream_flow.h). Fault. In: 4.2.1. Test: TestConnectionThatIsNotReadIsNotReadFrom.   \
	 * Until: 4.3.1. */                                                                         \
	X(epoll_wait, cshim_fix_stream_epoll_wait)

/* libcoap's own functions, as it calls them itself. */
#define CSHIM_REPLACED_LIBCOAP(X)                                                        \
	/* Does not wait for the capabilities of a server (fix_early.h). Fault. In: 4.3.4 and   \
	 * later. Test: TestClientSurvivesBadStreams. Until: none yet. */                       \
	X(coap_session_max_pdu_size, cshim_fix_early_max_pdu_size)                              \
	/* Lets critical options through to Go, however many (ext_critical.h). Feature. In: all \
	 * versions. Test: TestCriticalOptionsOfTheConfig. Until: none yet. */                  \
	X(coap_option_filter_get, cshim_ext_critical_filter_get)                                \
	/* Leaves options of wrong lengths out of datagrams (fix_options.h). Fault. In: all     \
	 * versions. Test: TestOptionsOfWrongLengths. Until: none yet. */                       \
	X(coap_pdu_parse, cshim_fix_options_parse)

/* libcoap's file descriptors: fix_sockets.h. */
#define CSHIM_REPLACED_SOCKETS(X)                                                               \
	/* Keeps child processes from inheriting the descriptor, and notes its kind. Fault. In: all    \
	 * versions. Test: TestChildrenInheritNothing. Until: none yet. */                             \
	X(socket, cshim_fix_sockets_socket)                                                            \
	/* Clears SO_REUSEADDR of UDP sockets: any program could share their ports. Fault. In: all     \
	 * versions. Test: TestNobodySharesAPort. Until: none yet. */                                  \
	X(bind, cshim_fix_sockets_bind)                                                                \
	/* Lets as many connections wait as the system allows, not 5. Fault. In: all versions.         \
	 * Test: TestManyConnectionsWaitToBeAccepted. Until: none yet. */                              \
	X(listen, cshim_fix_sockets_listen)                                                            \
	/* Pauses where no descriptor is left: libcoap would try again without end. Child processes    \
	 * do not inherit the descriptor. Faults. In: all versions. Test:                              \
	 * TestServerWithoutDescriptors. Until: none yet. */                                           \
	X(accept, cshim_fix_sockets_accept)                                                            \
	/* Learns which listeners can be paused, which connections there are, and when libcoap         \
	 * reads from them (fix_stream_flow.h). Faults. In: all versions. Test:                        \
	 * TestServerWithoutDescriptors, TestConnectionThatIsNotReadIsNotReadFrom. Until: none yet. */ \
	X(epoll_ctl, cshim_fix_stream_epoll_ctl)                                                       \
	/* Keeps child processes from inheriting the descriptor. Fault. In: all versions. Test:        \
	 * TestChildrenInheritNothing. Until: none yet. */                                             \
	X(epoll_create1, cshim_fix_sockets_epoll_create1)                                              \
	/* The same. Fault. In: all versions. Test: TestChildrenInheritNothing. Until: none yet. */    \
	X(timerfd_create, cshim_fix_sockets_timerfd_create)

#ifdef CSHIM_NO_RESUMPTION
#define CSHIM_REPLACED_TLS(X)
#else
#define CSHIM_REPLACED_TLS(X)                                                                \
	/* Shows Go each session before its handshake (ext_tls.h). Feature. In: all versions. Test: \
	 * TestResumption. Until: none yet. */                                                      \
	X(gnutls_init, cshim_ext_tls_init)                                                          \
	/* Learns how libcoap reads a datagram, and tells of those of handshakes (fix_wait.h).      \
	 * Faults. In: all versions. Test: TestHandshakeGoesOnWhileTheServerAnswers. Until: none    \
	 * yet. */                                                                                  \
	X(gnutls_transport_set_pull_function, cshim_fix_wait_set_pull)                              \
	/* Asks that in place of select whether there is something to read (fix_wait.h). Fault. In: \
	 * all versions. Test: TestHandshakeSurvivesLoss, TestHandshakeWithManyFiles. Until: none   \
	 * yet. */                                                                                  \
	X(gnutls_transport_set_pull_timeout_function, cshim_fix_wait_set_wait)                      \
	/* Sends a flight of a handshake over DTLS in few datagrams (ext_flight.h). Feature. In:    \
	 * all versions. Test: TestFlightsGoInOneDatagram. Until: none yet. */                      \
	X(gnutls_transport_set_push_function, cshim_ext_flight_set_push)                            \
	/* Gives a session the versions and ciphers that Go has for it (ext_tls.h). Feature. In:    \
	 * all versions. Test: TestVersionsOfSessions. Until: none yet. */                          \
	X(gnutls_priority_set, cshim_ext_tls_set_priority)                                          \
	/* The same for a client that answers hints. Feature. In: 4.3.1 and later. Test:            \
	 * TestVersionsOfSessions. Until: none yet. */                                              \
	X(gnutls_priority_set_direct, cshim_ext_tls_set_priority_direct)                            \
	/* Gives a session the certificates that Go has for it (ext_tls.h). Feature. In: all        \
	 * versions. Test: TestKeysOfSigners, TestCertificatesChangeWhileTheServerListens. Until:   \
	 * none yet. */                                                                             \
	X(gnutls_credentials_set, cshim_ext_tls_set_credentials)                                    \
	/* Keeps libcoap from choosing a certificate by name: it keeps one for each name. Fault.    \
	 * In: all versions. Test: TestAnyNumberOfServerNames. Until: none yet. */                  \
	X(gnutls_handshake_set_post_client_hello_function, cshim_ext_tls_set_hello_function)        \
	/* Names no credentials that libcoap would keep for each name. Fault. In: all versions.     \
	 * Test: TestAnyNumberOfServerNames. Until: none yet. */                                    \
	X(gnutls_server_name_get, cshim_ext_tls_server_name)                                        \
	/* Gives a client the time that it needs (fix_patience.h). Fault. In: all versions. Test:   \
	 * TestHandshakeGoesOnWhileTheServerAnswers. Until: none yet. */                            \
	X(gnutls_handshake_set_timeout, cshim_fix_patience_timeout)
#endif

#if defined(CSHIM_NO_RESUMPTION) || !defined(CSHIM_HAVE_PATIENCE)
#define CSHIM_REPLACED_PATIENCE(X)
#else
#define CSHIM_REPLACED_PATIENCE(X)                                                           \
	/* Does the same over DTLS; a server also answers a last flight that comes again. Faults.   \
	 * In: 4.3.1 and later. Test: TestClientHelloIsSentAgain, TestHandshakeSurvivesLoss. Until: \
	 * none yet. */                                                                             \
	X(gnutls_dtls_set_timeouts, cshim_fix_patience_timeouts)
#endif

#define CSHIM_REPLACED(X) \
	CSHIM_REPLACED_NETWORK(X) \
	CSHIM_REPLACED_SOCKETS(X) \
	CSHIM_REPLACED_LIBCOAP(X) \
	CSHIM_REPLACED_TLS(X) \
	CSHIM_REPLACED_PATIENCE(X) \
	CSHIM_REPLACED_OLD(X) /* compat.h */

enum cshim_replaced {
#define CSHIM_REPLACED_AT(symbol, function) CSHIM_AT_##symbol,
	CSHIM_REPLACED(CSHIM_REPLACED_AT)
#undef CSHIM_REPLACED_AT
	CSHIM_N_REPLACED
};

/* What libcoap called before; what its calls would reach, where it calls none. */
extern void *cshim_interpose_original[CSHIM_N_REPLACED];

#define CSHIM_NEXT(type, symbol) ((type *)cshim_interpose_original[CSHIM_AT_##symbol])

struct cshim_replacement {
	const char *symbol;
	void *ours;
};

/* Replaces them all, as far as it can be done: see replaced.h. */
void cshim_interpose_apply(const struct cshim_replacement replacements[CSHIM_N_REPLACED]);

/* Whether libcoap's calls of a symbol come to ours. */
#define CSHIM_WORKS(symbol) cshim_interpose_works(CSHIM_AT_##symbol)
bool cshim_interpose_works(enum cshim_replaced which);

/* The function that libcoap's calls of a name reach: of libraries that this package does not
 * link. */
void *cshim_interpose_find(const char *name);
/* The same, for a place that asks again and again: *known is for it alone. */
void *cshim_interpose_known(void **known, const char *name);

#endif
