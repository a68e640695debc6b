#include <limits.h>
#include <poll.h>

#include "_cgo_export.h"
#include "identity.h"
#include "polling.h"

#ifdef CSHIM_HAVE_ADOPTION

/* What C programs call: coap/native/gnucoap.h. */

int gnucoap_lock(coap_context_t *context)
{
	return goCoapTake(context);
}

void gnucoap_unlock(coap_context_t *context)
{
	goCoapLetGo(context);
}

int gnucoap_set_handlers(coap_context_t *context, const gnucoap_handlers_t *handlers)
{
	if (!goCoapTake(context))
		return 0;
	cshim_adoption_find(context)->adoption->handlers = *handlers;
	goCoapLetGo(context);
	return 1;
}

static uint64_t milliseconds(void)
{
	coap_tick_t now;

	coap_ticks(&now);
	return now * 1000 / COAP_TICKS_PER_SECOND;
}

/* How long poll may wait: as long as coap_io_process may, but not beyond what libcoap
 * has to do next. */
static int wait_for(coap_context_t *context, uint32_t timeout_ms)
{
	coap_tick_t now;
	unsigned next;
	int wait = timeout_ms == COAP_IO_WAIT ? -1 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;

	if (timeout_ms == COAP_IO_NO_WAIT)
		return 0;
	coap_ticks(&now);
	next = coap_io_prepare_epoll(context, now);
	if (next != 0 && next < INT_MAX && (wait < 0 || (int)next < wait))
		wait = (int)next + 1; /* the clock that libcoap reads goes in milliseconds */
	return wait;
}

static bool may_process(const coap_context_t *context)
{
	const cshim_context *c = cshim_adoption_find(context);

	return c->adoption->borrowed && !c->adoption->processing;
}

int gnucoap_io_process(coap_context_t *context, uint32_t timeout_ms)
{
	uint64_t begun = milliseconds();
	struct pollfd p = { .fd = coap_context_get_coap_fd(context), .events = POLLIN };
	int result, wait;

	if (!goCoapTake(context))
		return coap_io_process(context, timeout_ms);
	if (!may_process(context)) {
		goCoapLetGo(context);
		return -1;
	}
	wait = wait_for(context, timeout_ms);
	goCoapWait(context);
	poll(&p, 1, wait);
	if (!goCoapResume(context)) /* Go has given it back */
		return coap_io_process(context, COAP_IO_NO_WAIT);
	if (!may_process(context)) { /* and has adopted it */
		goCoapLetGo(context);
		return -1;
	}
	result = cshim_context_process(cshim_adoption_find(context));
	goCoapProcessed(context);
	return result < 0 ? result : (int)(milliseconds() - begun);
}

#endif
