#include "debug.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static atomic_int most;

static void drop(coap_log_t level, const char *message)
{
}

/* What libcoap says of an RST it says of the answers to pings too, which it does not
 * know: Go tells them apart. */
static const char got_rst[] = "got RST for mid";

static void print(coap_log_t level, const char *message)
{
	static const char *names[] = { "EMRG", "ALRT", "CRIT", "ERR ", "WARN", "NOTE", "INFO", "DEBG" };
	struct timeval now;
	struct tm tm;
	char text[32];

	if ((int)level > atomic_load(&most) || (int)level > LOG_DEBUG)
		return;
	if (level == LOG_ALERT && strncmp(message, got_rst, sizeof(got_rst) - 1) == 0)
		return;
	gettimeofday(&now, NULL);
	localtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%b %d %H:%M:%S", &tm);
	printf("%s.%03d %s %s", text, (int)(now.tv_usec / 1000), names[level], message);
}

void cshim_log_nothing(void)
{
	coap_set_log_handler(drop);
	coap_set_log_level(LOG_EMERG);
	coap_dtls_set_log_level(LOG_EMERG);
}

/* libcoap writes the messages that go over the network to the standard output by
 * itself, at the level for debugging. */
void cshim_log(coap_log_t level)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	atomic_store(&most, level);
	coap_set_log_handler(print);
	coap_set_log_level(level >= LOG_INFO ? LOG_DEBUG : level);
}
