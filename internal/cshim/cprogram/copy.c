//go:build !libcoap2

#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>

#include <coap3/coap.h>

#include "copy.h"

/* The file of the process's own libcoap. */
static const char *own(void)
{
	Dl_info info;

	return dladdr((void *)coap_startup, &info) != 0 ? info.dli_fname : NULL;
}

void *cshim_copy_load(void)
{
	return dlmopen(LM_ID_NEWLM, own(), RTLD_NOW | RTLD_LOCAL);
}

void cshim_copy_unload(void *copy)
{
	dlclose(copy);
}

int cshim_copy_works(void *copy)
{
	void (*startup)(void) = (void (*)(void))dlsym(copy, "coap_startup");
	void *(*make)(const void *) = (void *(*)(const void *))dlsym(copy, "coap_new_context");
	void (*end)(void *) = (void (*)(void *))dlsym(copy, "coap_free_context");
	void *context;

	if (startup == NULL || make == NULL || end == NULL)
		return 0;
	startup();
	context = make(NULL);
	if (context != NULL)
		end(context);
	return context != NULL;
}

const char *cshim_copy_callee(void *copy, const char *name)
{
	void *handle = copy != NULL ? copy : dlopen(own(), RTLD_NOW | RTLD_NOLOAD);
	struct link_map *map;
	const ElfW(Dyn) *d;
	const ElfW(Rela) *r = NULL;
	const ElfW(Sym) *symbols = NULL;
	const char *names = NULL, *file = NULL;
	size_t size = 0;
	Dl_info info;

	if (handle == NULL || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0)
		return NULL;
	for (d = map->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_JMPREL)
			r = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_PLTRELSZ)
			size = d->d_un.d_val;
		else if (d->d_tag == DT_SYMTAB)
			symbols = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_STRTAB)
			names = (const void *)d->d_un.d_ptr;
	}
	for (size_t i = 0; i < size / sizeof(*r); i++) {
		void **slot = (void **)(map->l_addr + r[i].r_offset);

		if (strcmp(names + symbols[ELF64_R_SYM(r[i].r_info)].st_name, name) == 0)
			file = dladdr(*slot, &info) != 0 ? info.dli_fname : "";
	}
	if (copy == NULL)
		dlclose(handle);
	return file;
}
