#include "multicast.h"

int cshim_multicast_join(cshim_context *c, const char *group, const char *interface)
{
	return coap_join_mcast_group_intf(c->ctx, group, interface) == 0 ? 0 : -1;
}

int cshim_multicast_hops(coap_session_t *session, size_t hops)
{
	return coap_mcast_set_hops(session, hops) ? 0 : -1;
}
