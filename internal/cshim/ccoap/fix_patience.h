#ifndef CSHIM_FIX_PATIENCE_H
#define CSHIM_FIX_PATIENCE_H

/* Fault: libcoap gives a handshake no more time than GnuTLS does by itself, 40 or 60 seconds:
 * too little for a client whose peer is slow, or whose datagrams are lost. */

/* Replace gnutls_handshake_set_timeout and gnutls_dtls_set_timeouts in libcoap. */
void cshim_fix_patience_timeout(void *tls, unsigned milliseconds);
void cshim_fix_patience_timeouts(void *tls, unsigned retransmission, unsigned total);

#endif
