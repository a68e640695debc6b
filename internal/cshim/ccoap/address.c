#include <arpa/inet.h>
#include <string.h>

#include "address.h"

void cshim_address_to(const struct cshim_address *from, coap_address_t *to)
{
	coap_address_init(to);
	if (from->ip_size == 4) {
		to->addr.sin.sin_family = AF_INET;
		to->addr.sin.sin_port = htons(from->port);
		memcpy(&to->addr.sin.sin_addr, from->ip, 4);
		to->size = sizeof(to->addr.sin);
		return;
	}
	to->addr.sin6.sin6_family = AF_INET6;
	to->addr.sin6.sin6_port = htons(from->port);
	to->addr.sin6.sin6_scope_id = from->scope;
	memcpy(&to->addr.sin6.sin6_addr, from->ip, 16);
	to->size = sizeof(to->addr.sin6);
}

void cshim_address_from(const coap_address_t *from, struct cshim_address *to)
{
	memset(to, 0, sizeof(*to));
	switch (from->addr.sa.sa_family) {
	case AF_INET:
		to->ip_size = 4;
		to->port = ntohs(from->addr.sin.sin_port);
		memcpy(to->ip, &from->addr.sin.sin_addr, 4);
		break;
	case AF_INET6:
		to->ip_size = 16;
		to->port = ntohs(from->addr.sin6.sin6_port);
		to->scope = from->addr.sin6.sin6_scope_id;
		memcpy(to->ip, &from->addr.sin6.sin6_addr, 16);
		break;
	}
}
