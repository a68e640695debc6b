/* For C programs that share a coap_context_t with Go: what they call beside libcoap,
 * once Go has called native.Adopt or native.Borrow for it. It needs libcoap
 * 4.3.1 or later.
 *
 * A context is used by one thread at a time, and so is what belongs to it. While Go
 * has it, one has to lock it: gnucoap_lock does, and what Go calls does so by itself.
 * libcoap's callbacks run with it locked, so a handler written in C has nothing to
 * do. */
#ifndef GNUCOAP_H
#define GNUCOAP_H

#include <stdint.h>

#include <coap3/coap.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Does what coap_io_process does, for a context that Go has borrowed, and lets Go use
 * it while it waits. It returns with the context locked: so the rest of the program's
 * loop uses it as before. A context that Go does not have is left to
 * coap_io_process. Returns how many milliseconds it took, or -1: the context is
 * adopted, so the loop is over, or this is a call out of a callback.
 *
 * A program that waits by itself, for the file descriptor of coap_context_get_coap_fd,
 * calls gnucoap_unlock before it does, and after it this with COAP_IO_NO_WAIT. */
int gnucoap_io_process(coap_context_t *context, uint32_t timeout_ms);

/* Waits until nobody else uses the context, and locks it for this thread. It may be
 * called again by the thread that has it, which must unlock it as often. Returns 0
 * where Go does not have the context: then nothing is locked. */
int gnucoap_lock(coap_context_t *context);

/* Lets others use the context. After the last gnucoap_io_process of a context that is
 * borrowed, this lets Go go on. */
void gnucoap_unlock(coap_context_t *context);

/* Handlers of the program. libcoap has room for one of each kind, and Go needs it.
 * NULL for those that the program does not have. */
typedef struct gnucoap_handlers {
	coap_response_handler_t response; /* for responses that nobody in Go waits for */
	coap_nack_handler_t nack;	  /* for messages that nobody in Go has sent */
	coap_event_handler_t event;	  /* for all events */
	coap_ping_handler_t ping;
	coap_pong_handler_t pong;
} gnucoap_handlers_t;

/* Sets these handlers, in place of coap_register_response_handler and so on, which
 * must not be called while Go has the context. It locks the context. They count until Go
 * closes it; when Go takes it again they are to be set again. Returns 0 where Go does not
 * have it. */
int gnucoap_set_handlers(coap_context_t *context, const gnucoap_handlers_t *handlers);

#ifdef __cplusplus
}
#endif

#endif
