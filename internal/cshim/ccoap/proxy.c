#include "proxy.h"

#ifdef CSHIM_HAVE_PROXY_RESOURCE

/* What libcoap does not hand to the resource for all paths: requests that name no
 * host. */
CSHIM_ON_REQUEST(refuse, session, request, response)
{
	coap_pdu_set_code(response, COAP_RESPONSE_CODE_PROXYING_NOT_SUPPORTED);
}

/* To libcoap, the empty name means that every host is the server itself. */
bool cshim_accept_proxied(cshim_context *c)
{
	const char *everybody = "";
	coap_resource_t *resource = coap_resource_proxy_uri_init(refuse, 1, &everybody);

	if (resource == NULL)
		return false;
	coap_add_resource(c->ctx, resource);
	return true;
}

#else

/* libcoap does not look at these options. */
bool cshim_accept_proxied(cshim_context *c)
{
	return true;
}

#endif
