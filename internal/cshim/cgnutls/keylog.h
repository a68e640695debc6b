#ifndef CSHIM_KEYLOG_H
#define CSHIM_KEYLOG_H

#include "base.h"

/* Queues a line in the NSS key log format for every secret of s. */
void cshim_keylog_attach(cshim_session *s);

#endif
