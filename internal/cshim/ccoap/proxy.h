#ifndef CSHIM_PROXY_H
#define CSHIM_PROXY_H

#include "identity.h"

/* Has requests with Proxy-Uri and Proxy-Scheme options handled as others are. */
bool cshim_accept_proxied(cshim_context *c);

#endif
