#ifndef CSHIM_EXT_TICKETKEYS_H
#define CSHIM_EXT_TICKETKEYS_H

#include "base.h"

enum { CSHIM_TICKET_NAME_SIZE = 16, CSHIM_TICKET_KEY_SIZE = 64 };

/* A master key, and how the tickets begin that GnuTLS accepts with it. */
struct cshim_ticket_key {
	uint8_t names[2][CSHIM_TICKET_NAME_SIZE];
	uint8_t key[CSHIM_TICKET_KEY_SIZE];
};

/* Lets a server make and accept tickets. GnuTLS has one master key for a
 * session: it is the one of the ticket that the ClientHello brings, and the first
 * for any other ClientHello. */
int cshim_ext_ticket_keys_set(cshim_session *s, const struct cshim_ticket_key *keys, size_t n);

/* Makes a server read no ticket until the client's Finished comes: GnuTLS derives the names
 * and keys of tickets from the expiration of its cache, among others, and with another one
 * knows none of those that it has made. */
void cshim_ext_tickets_decline(cshim_session *s, bool on);

/* Chooses the key when a ClientHello comes, and ends cshim_ext_tickets_decline. GnuTLS would
 * resume with a ticket of TLS 1.2 in a handshake of TLS 1.3, which then fails: such a ticket
 * is declined. */
void cshim_ext_ticket_keys_message(cshim_session *s, unsigned htype, const gnutls_datum_t *msg);

/* Forgets the keys that there are to choose from. */
void cshim_ext_ticket_keys_clear(cshim_session *s);

#endif
