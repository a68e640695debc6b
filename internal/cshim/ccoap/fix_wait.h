/* Mends: how libcoap tells GnuTLS whether there is something to read is wrong in two ways: it asks
 * select, which ends the process when a file descriptor is above 1023; and for the sessions of a
 * server over DTLS it asks for the standard input. Where that is /dev/null, what is lost of a
 * handshake is never sent again. So what it sets with gnutls_transport_set_pull_timeout_function
 * comes here too.
 *
 * In: all versions. Until: none yet. Test: TestHandshakeWithManyFiles,
 * TestHandshakeSurvivesLoss. */
#ifndef CSHIM_FIX_WAIT_H
#define CSHIM_FIX_WAIT_H

#include <stddef.h>
#include <sys/types.h>

typedef ssize_t cshim_wait_pull(void *transport, void *data, size_t size);
typedef int cshim_wait_timeout(void *transport, unsigned milliseconds);

/* Replace gnutls_transport_set_pull_function and gnutls_transport_set_pull_timeout_function
 * in libcoap. */
void cshim_fix_wait_set_pull(void *session, cshim_wait_pull *pull);
void cshim_fix_wait_set_wait(void *session, cshim_wait_timeout *wait);

#endif
