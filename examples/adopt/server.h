#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>

/* A CoAP server in C: the clock /time, which can be observed, the lamp /led, and
 * /log, which takes texts of any size. */
typedef struct server server;

/* Listens on a free port of 127.0.0.1. NULL where that fails. */
server *server_new(void);
int server_port(const server *s);

/* Runs the main loop until server_stop, which any thread may call. */
void server_run(server *s);
void server_stop(server *s);

/* Frees the server, with its libcoap context if that is not another's. */
void server_free(server *s, bool context_too);

/* What was added when the server began to move to Go. */
void *server_context(server *s);
bool server_led(const server *s);
/* Deletes a resource, and leaves its path to Go. */
void server_give_up(server *s, const char *path);
/* Tells the observers of the clock. The main loop does so every second. */
void server_tick(server *s);

#endif
