#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

void cshim_wipe(void *p, size_t size)
{
	if (p == NULL)
		return;
	explicit_bzero(p, size);
	free(p);
}

void cshim_key_free(struct cshim_key *key)
{
	free(key->chain);
	if (key->key != NULL)
		cshim_wipe(key->key, strlen(key->key));
	free(key->ca);
	for (int i = 0; i < 3; i++) {
		if (key->files[i] > 0)
			close(key->files[i] - 1);
	}
}

static uint8_t *copy(const uint8_t *p, size_t size)
{
	uint8_t *c = malloc(size > 0 ? size : 1);

	if (c != NULL && size > 0)
		memcpy(c, p, size);
	return c;
}

static void client_free(struct cshim_client *client)
{
	free(client->name);
	free(client->identity);
	cshim_wipe(client->key, client->key_size);
	cshim_key_free(&client->pair);
	free(client);
}

struct cshim_client *cshim_client_add(struct cshim_client **list, uint64_t id, const char *name,
				      const uint8_t *identity, size_t identity_size, const uint8_t *key,
				      size_t key_size)
{
	struct cshim_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->id = id;
	client->identity_size = identity_size;
	client->key_size = key_size;
	if (name != NULL)
		client->name = strdup(name);
	client->identity = copy(identity, identity_size);
	client->key = copy(key, key_size);
	if ((name != NULL && client->name == NULL) || client->identity == NULL || client->key == NULL) {
		client_free(client);
		return NULL;
	}
	client->next = *list;
	*list = client;
	return client;
}

struct cshim_client *cshim_client_find(struct cshim_client *list, uint64_t id)
{
	while (list != NULL && list->id != id)
		list = list->next;
	return list;
}

void cshim_client_remove(struct cshim_client **list, uint64_t id)
{
	struct cshim_client *client;

	for (; *list != NULL; list = &(*list)->next) {
		if ((*list)->id != id)
			continue;
		client = *list;
		*list = client->next;
		client_free(client);
		return;
	}
}
