#ifndef CSHIM_ADDRESS_H
#define CSHIM_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "compat.h"

/* A socket address in a form that Go reads: 4 or 16 bytes of address. */
struct cshim_address {
	uint8_t ip[16];
	uint8_t ip_size; /* 4, 16, or 0 where there is no address */
	uint16_t port;
	uint32_t scope;
};

void cshim_address_to(const struct cshim_address *from, coap_address_t *to);
void cshim_address_from(const coap_address_t *from, struct cshim_address *to);

#endif
