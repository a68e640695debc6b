/* Mends: libcoap gives a handshake 40 seconds, and one over DTLS 60: a client whose server answers
 * slowly, or whose datagrams are lost, fails. And a server does not send its last flight again
 * when its client asks for it a little before the time.
 *
 * In: all versions; a last flight in 4.3.1 and later. Until: none yet. Test:
 * TestHandshakeGoesOnWhileTheServerAnswers, TestHandshakeSurvivesLoss. */
#ifndef CSHIM_FIX_PATIENCE_H
#define CSHIM_FIX_PATIENCE_H

/* Replace gnutls_handshake_set_timeout and gnutls_dtls_set_timeouts in libcoap. */
void cshim_fix_patience_timeout(void *tls, unsigned milliseconds);
void cshim_fix_patience_timeouts(void *tls, unsigned retransmission, unsigned total);

#endif
