#include "ext_critical.h"
#include "ext_flight.h"
#include "ext_tls.h"
#include "fix_cookie.h"
#include "fix_early.h"
#include "fix_options.h"
#include "fix_patience.h"
#include "fix_sockets.h"
#include "fix_stream_flow.h"
#include "fix_stream_send.h"
#include "fix_wait.h"
#include "interpose.h"
#include "receive.h"
#include "replaced.h"

static const struct cshim_replacement replacements[CSHIM_N_REPLACED] = {
#define ENTRY(symbol, function) { #symbol, (void *)function },
	CSHIM_REPLACED(ENTRY)
#undef ENTRY
};

void cshim_replace(void)
{
	cshim_interpose_apply(replacements);
	cshim_fix_options_probe();
}
