package ccoap

/*
#include "proxy.h"
*/
import "C"

// TakesOSCORE reports whether libcoap decrypts messages with the option OSCORE, or drops them:
// they do not come here.
const TakesOSCORE = bool(C.CSHIM_TAKES_OSCORE != 0)

// AcceptProxied has requests with Proxy-Uri and Proxy-Scheme options come as others do. They
// are answered with 5.05 by libcoap otherwise, from 4.3 on. It is called once. It reports
// false where there is no memory.
//
// Implements:
//
//	coap_resource_t *coap_resource_proxy_uri_init(coap_method_handler_t handler,
//	    size_t host_name_count, const char *host_name_list[]);
func (c *Context) AcceptProxied() bool { return bool(C.cshim_accept_proxied(c.c)) }
