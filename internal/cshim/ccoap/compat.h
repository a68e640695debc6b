#ifndef CSHIM_COMPAT_H
#define CSHIM_COMPAT_H

/* What differs among the versions of libcoap. No other file asks for the
 * version. */

#include <coap3/coap.h>

#if !defined(LIBCOAP_VERSION) || LIBCOAP_VERSION < 4003001U
#error "gnucoap needs libcoap 4.3.1 or later"
#endif

#endif
