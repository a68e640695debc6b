#ifndef CSHIM_PARSE_H
#define CSHIM_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left to read of a handshake message. A step that finds too little
 * empties it. */
struct cshim_bytes {
	const uint8_t *p;
	size_t n;
};

unsigned cshim_u16(const uint8_t *p);

/* Skips n bytes. */
bool cshim_skip(struct cshim_bytes *b, size_t n);

/* Takes a vector whose length stands before it in prefix bytes (1 to 3). */
bool cshim_vector(struct cshim_bytes *b, unsigned prefix, struct cshim_bytes *v);

/* The list of extensions of a ClientHello, or nothing. That of DTLS has a cookie,
 * too. */
struct cshim_bytes cshim_hello_extensions(struct cshim_bytes b, bool datagram);

/* Finds an extension in a list of extensions. */
bool cshim_find_extension(struct cshim_bytes list, unsigned type, struct cshim_bytes *body);

#endif
