#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>

#include "compat.h"
#include "interpose.h"

void *cshim_interpose_library(const void *address)
{
	Dl_info info;

	return dladdr(address, &info) != 0 ? info.dli_fbase : NULL;
}

/* What has the name for the whole program. RTLD_DEFAULT would begin with the library that
 * asks, where Go has linked that. */
static void *global(const char *name)
{
	void *program = dlopen(NULL, RTLD_LAZY);
	void *f = program != NULL ? dlsym(program, name) : NULL;

	if (program != NULL)
		dlclose(program);
	return f;
}

void *cshim_interpose_next(void **known, const char *name)
{
	void *f = __atomic_load_n(known, __ATOMIC_RELAXED);

	if (f == NULL) {
		f = dlsym(RTLD_NEXT, name);
		if (f == NULL) /* its library comes before ours */
			f = global(name);
		__atomic_store_n(known, f, __ATOMIC_RELAXED);
	}
	return f;
}

struct search {
	const void *libraries[3];
	const void *first;
};

static int find_first(struct dl_phdr_info *info, size_t size, void *data)
{
	struct search *search = data;
	void *library = cshim_interpose_library(info->dlpi_phdr);
	int i;

	(void)size;
	for (i = 0; i < 3; i++) {
		if (library != NULL && library == search->libraries[i]) {
			search->first = library;
			return 1;
		}
	}
	return 0;
}

/* libcoap looks a name up in what is global, and then in what was loaded with it. */
bool cshim_interpose_works(const char *name, void *ours)
{
	void *next = dlsym(RTLD_NEXT, name);
	void *found = global(name);
	struct search search = { .libraries = { cshim_interpose_library(ours), cshim_interpose_library((void *)coap_new_context), cshim_interpose_library(next) } };

	if (next == NULL || (found != NULL && found != ours))
		return false;
	dl_iterate_phdr(find_first, &search); /* in the order of loading */
	return search.first == cshim_interpose_library(ours);
}
