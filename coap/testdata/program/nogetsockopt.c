/* Loaded before all else: a system that tells nothing of its sockets, as some emulators do. */
#include <errno.h>
#include <sys/socket.h>

int getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
	errno = ENOPROTOOPT;
	return -1;
}
