#ifndef CSHIM_CPROGRAM_COPY_H
#define CSHIM_CPROGRAM_COPY_H

/* A second copy of libcoap in the process, as a plugin may bring one. */

/* Loads one, with libraries of its own. Returns a handle for dlclose, or NULL. */
void *cshim_copy_load(void);
void cshim_copy_unload(void *copy);

/* Has the copy make a context and free it. Returns whether that worked. */
int cshim_copy_works(void *copy);

/* The file that a call of libcoap's goes to, by the name of what is called: of the copy, or of the
 * process's own for NULL. "" where it goes nowhere yet; NULL where there is no such call. The text
 * lives until the file is unloaded. */
const char *cshim_copy_callee(void *copy, const char *name);

#endif
