#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "ext_datagram.h"

void cshim_ext_datagrams_begin(struct cshim_datagrams *d, bool ahead)
{
	d->ahead = ahead;
	d->drained = false;
}

unsigned cshim_ext_datagrams_waiting(const struct cshim_datagrams *d)
{
	return d->count - d->next;
}

void cshim_ext_datagrams_drop(struct cshim_datagrams *d)
{
	d->next = d->count = 0;
}

void cshim_ext_datagrams_free(struct cshim_datagrams *d)
{
	free(d->read);
}

static size_t copy(void *to, size_t room, const void *from, size_t size)
{
	if (to == NULL)
		return 0;
	if (size > room)
		size = room;
	memcpy(to, from, size);
	return size;
}

static ssize_t take(struct cshim_datagrams *d, struct msghdr *message)
{
	const struct cshim_datagram *r = &d->read[d->next++];

	message->msg_flags = r->flags;
	message->msg_namelen = copy(message->msg_name, message->msg_namelen, &r->name, r->name_size);
	message->msg_controllen =
		copy(message->msg_control, message->msg_controllen, r->control, r->control_size);
	return copy(message->msg_iov[0].iov_base, message->msg_iov[0].iov_len, r->bytes, r->size);
}

static int read_ahead(struct cshim_datagrams *d, int fd)
{
	struct mmsghdr headers[CSHIM_DATAGRAMS];
	struct iovec vectors[CSHIM_DATAGRAMS];
	int i, n;

	for (i = 0; i < CSHIM_DATAGRAMS; i++) {
		struct cshim_datagram *r = &d->read[i];

		vectors[i] = (struct iovec){ r->bytes, sizeof(r->bytes) };
		headers[i].msg_hdr = (struct msghdr){
			.msg_name = &r->name,
			.msg_namelen = sizeof(r->name),
			.msg_iov = &vectors[i],
			.msg_iovlen = 1,
			.msg_control = r->control,
			.msg_controllen = sizeof(r->control),
		};
	}
	n = recvmmsg(fd, headers, CSHIM_DATAGRAMS, MSG_DONTWAIT, NULL);
	for (i = 0; i < n; i++) {
		struct cshim_datagram *r = &d->read[i];

		r->size = headers[i].msg_len;
		r->name_size = headers[i].msg_hdr.msg_namelen;
		r->control_size = headers[i].msg_hdr.msg_controllen;
		r->flags = headers[i].msg_hdr.msg_flags;
	}
	return n;
}

ssize_t cshim_ext_datagrams_receive(struct cshim_datagrams *d, int fd, struct msghdr *message,
				cshim_receive_message *receive)
{
	int n;

	if (cshim_ext_datagrams_waiting(d) > 0 && d->fd == fd)
		return take(d, message);
	if (d->ahead && d->read == NULL)
		d->read = malloc(CSHIM_DATAGRAMS * sizeof(*d->read));
	if (!d->ahead || d->read == NULL || message->msg_iovlen != 1 ||
	    message->msg_iov[0].iov_len > CSHIM_DATAGRAM_SIZE)
		return receive(fd, message, 0);
	n = read_ahead(d, fd);
	if (n <= 0)
		return n;
	d->ahead = false;
	d->drained = n < CSHIM_DATAGRAMS;
	d->fd = fd;
	d->next = 0;
	d->count = n;
	return take(d, message);
}
