#ifndef CSHIM_REPLACED_H
#define CSHIM_REPLACED_H

/* Replaces what the table of interpose.h lists. Call it once, before there is a context of ours. */
void cshim_replace(void);

#endif
