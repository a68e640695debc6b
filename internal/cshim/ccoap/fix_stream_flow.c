#include <sys/socket.h>

#include "clock.h"
#include "fix_sockets.h"
#include "fix_stream_flow.h"
#include "interpose.h"

bool cshim_fix_stream_holds(const struct cshim_streams *streams, const struct cshim_stream *s)
{
	if (!s->accepted || !s->wire.greeted || s->over || streams->foreign)
		return false;
	return s->stuck || (streams->limits.requests > 0 && s->handled >= s->window) ||
	       (s->eof && s->handled > 0);
}

typedef int control_function(int epfd, int op, int fd, struct epoll_event *event);

void cshim_fix_stream_set_interest(struct cshim_streams *streams, struct cshim_stream *s,
				   uint32_t more)
{
	struct epoll_event event = { .events = s->asked | more, .data.ptr = s->socket };

	if (cshim_fix_stream_holds(streams, s))
		event.events &= ~(uint32_t)EPOLLIN;
	if (s->socket != NULL)
		CSHIM_NEXT(control_function, epoll_ctl)(streams->epoll, EPOLL_CTL_MOD, s->fd, &event);
}

void cshim_fix_stream_read_again(struct cshim_streams *streams, struct cshim_stream *s)
{
	if (s->socket == NULL || s->again)
		return;
	s->again = true;
	s->next_again = streams->again;
	streams->again = s;
	cshim_fix_stream_set_interest(streams, s, EPOLLIN | EPOLLOUT);
}

static void end(struct cshim_streams *streams, struct cshim_stream *s)
{
	s->over = true;
	shutdown(s->fd, SHUT_RDWR); /* of which epoll tells */
	cshim_fix_stream_read_again(streams, s);
}

int cshim_fix_streams_again(struct cshim_streams *streams, struct epoll_event *events, int most)
{
	struct cshim_stream *s;
	int n = 0;

	while (n < most && (s = streams->again) != NULL) {
		streams->again = s->next_again;
		s->again = false;
		cshim_fix_stream_set_interest(streams, s, 0);
		events[n++] = (struct epoll_event){ .events = EPOLLIN, .data.ptr = s->socket };
	}
	return n;
}

void cshim_fix_stream_release(struct cshim_streams *streams, struct cshim_stream *s, bool held)
{
	if (!held || cshim_fix_stream_holds(streams, s))
		return;
	cshim_fix_stream_set_interest(streams, s, 0);
	if (s->refused || s->kept_size > 0 || s->eof)
		cshim_fix_stream_read_again(streams, s);
	s->refused = false;
}

void cshim_fix_stream_handling(struct cshim_streams *streams, const coap_session_t *session)
{
	struct cshim_stream *s = cshim_fix_streams_of(streams, session);
	bool held;

	if (s == NULL || !s->accepted)
		return;
	held = cshim_fix_stream_holds(streams, s);
	s->handled++;
	if (cshim_fix_stream_holds(streams, s) && !held)
		cshim_fix_stream_set_interest(streams, s, 0);
}

void cshim_fix_stream_handled(struct cshim_streams *streams, const coap_session_t *session,
			      size_t size)
{
	struct cshim_stream *s = cshim_fix_streams_of(streams, session);
	unsigned most = streams->limits.requests;
	bool held;

	if (s == NULL || !s->accepted)
		return;
	held = cshim_fix_stream_holds(streams, s);
	if (s->handled > 0)
		s->handled--;
	s->answer = size > s->answer ? size : s->answer - s->answer / 8;
	if (s->answer > 0 && streams->limits.answers / s->answer < most)
		most = streams->limits.answers / s->answer;
	s->window = s->window < most ? s->window + 1 : most > 0 ? most : 1;
	cshim_fix_stream_release(streams, s, held);
}

void cshim_fix_stream_sent(struct cshim_streams *streams, const coap_session_t *session,
			   size_t size)
{
	struct cshim_stream *s = cshim_fix_streams_of(streams, session), *most;
	size_t i;

	if (s == NULL || !s->stuck || !s->accepted)
		return;
	cshim_fix_stream_set_waiting(streams, s, s->waiting + size);
	if (streams->limits.waiting > 0 && s->waiting > streams->limits.waiting)
		end(streams, s);
	if (streams->limits.all_waiting == 0 || streams->waiting <= streams->limits.all_waiting)
		return;
	for (most = s, i = 0; i < streams->buckets; i++) {
		for (s = streams->by_fd[i]; s != NULL; s = s->next)
			most = s->waiting > most->waiting && !s->over ? s : most;
	}
	end(streams, most);
}

static int sooner(int a, int64_t b)
{
	return a < 0 || b < a ? (int)b : a;
}

int cshim_fix_streams_sweep(struct cshim_streams *streams)
{
	struct cshim_stream *s, *next;
	int64_t now, left;
	int wait = -1;
	size_t i;

	if (streams->oldest == NULL && streams->n_stuck == 0)
		return -1;
	now = cshim_milliseconds();
	for (s = streams->limits.greeting_ms > 0 ? streams->oldest : NULL; s != NULL; s = next) {
		next = s->newer;
		left = s->since + streams->limits.greeting_ms - now;
		if (left > 0) {
			wait = sooner(wait, left);
			break;
		}
		cshim_fix_stream_end_greeting(streams, s);
		end(streams, s);
		wait = 0;
	}
	for (i = 0; i < streams->buckets && streams->n_stuck > 0 && streams->limits.stuck_ms > 0; i++) {
		for (s = streams->by_fd[i]; s != NULL; s = s->next) {
			if (!s->stuck || !s->accepted || s->over)
				continue;
			left = s->since + streams->limits.stuck_ms - now;
			if (left <= 0)
				end(streams, s);
			wait = sooner(wait, left > 0 ? left : 0);
		}
	}
	return wait;
}

int cshim_fix_stream_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	control_function *control = CSHIM_NEXT(control_function, epoll_ctl);
	struct cshim_streams *streams = cshim_fix_streams_current();
	struct cshim_stream *s = NULL;
	struct epoll_event changed;

	if (op == EPOLL_CTL_ADD)
		cshim_fix_sockets_added(fd, event);
	if (streams == NULL || streams->foreign || (op != EPOLL_CTL_DEL && event->data.ptr == NULL))
		return control(epfd, op, fd, event);
	streams->epoll = epfd;
	switch (op) {
	case EPOLL_CTL_DEL:
		s = cshim_fix_stream_look_up(streams, fd);
		if (s != NULL)
			cshim_fix_stream_drop(streams, s);
		return control(epfd, op, fd, event);
	case EPOLL_CTL_ADD:
		s = cshim_fix_stream_add(streams, fd);
		streams->last = s;
		if (s == NULL || s->kind == CSHIM_STREAM_DATAGRAM || streams->opening)
			break;
		s->accepted = s->greeting = true;
		s->since = cshim_milliseconds();
		s->older = streams->newest;
		*(s->older != NULL ? &s->older->newer : &streams->oldest) = s;
		streams->newest = s;
		streams->n_greeting++;
		break;
	default:
		s = cshim_fix_stream_look_up(streams, fd);
	}
	if (s == NULL)
		return control(epfd, op, fd, event);
	s->socket = event->data.ptr;
	s->asked = event->events;
	if (streams->limits.greeting > 0 && streams->n_greeting > streams->limits.greeting) {
		struct cshim_stream *oldest = streams->oldest;

		cshim_fix_stream_end_greeting(streams, oldest);
		end(streams, oldest);
	}
	changed = *event;
	if (cshim_fix_stream_holds(streams, s))
		changed.events &= ~(uint32_t)EPOLLIN;
	return control(epfd, op, fd, &changed);
}

typedef int wait_function(int epfd, struct epoll_event *events, int most, int timeout);

/* For those loops of libcoap that ask for the events themselves. */
int cshim_fix_stream_epoll_wait(int epfd, struct epoll_event *events, int most, int timeout)
{
	struct cshim_streams *streams = cshim_fix_streams_current();
	int n = streams != NULL ? cshim_fix_streams_again(streams, events, most) : 0;

	return n > 0 ? n : CSHIM_NEXT(wait_function, epoll_wait)(epfd, events, most, timeout);
}
