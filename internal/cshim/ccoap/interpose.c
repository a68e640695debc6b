#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "interpose.h"

void *cshim_interpose_original[CSHIM_N_REPLACED];

static const struct cshim_replacement *table;

/* How many places of libcoap's call a symbol, and how many of them call ours. */
static struct {
	unsigned places, replaced;
} found[CSHIM_N_REPLACED];

/* Where libcoap is loaded: a library, or the program where it is linked statically. */
static struct image {
	ElfW(Addr) base;
	const ElfW(Phdr) *headers;
	ElfW(Half) n_headers;
	const char *name;
} libcoap;

static bool contains(const struct image *image, const void *address)
{
	ElfW(Half) i;

	for (i = 0; i < image->n_headers; i++) {
		const ElfW(Phdr) *h = &image->headers[i];

		if (h->p_type == PT_LOAD && (uintptr_t)address - (image->base + h->p_vaddr) < h->p_memsz)
			return true;
	}
	return false;
}

static int look_at(struct dl_phdr_info *info, size_t size, void *data)
{
	struct image image = { info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum, info->dlpi_name };

	(void)size;
	(void)data;
	if (!contains(&image, (void *)coap_new_context))
		return 0;
	libcoap = image;
	return 1;
}

static void *look_up(const char *library, const char *name)
{
	void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
	void *f = handle != NULL ? dlsym(handle, name) : NULL;

	if (handle != NULL)
		dlclose(handle); /* it stays loaded: the program needs it */
	return f;
}

/* As the dynamic linker does: what is global comes first, then what libcoap was loaded with. */
void *cshim_interpose_find(const char *name)
{
	void *f = look_up(NULL, name);

	if (f == NULL && libcoap.name != NULL && libcoap.name[0] != 0)
		f = look_up(libcoap.name, name);
	return f != NULL ? f : dlsym(RTLD_DEFAULT, name);
}

void *cshim_interpose_known(void **known, const char *name)
{
	void *f = __atomic_load_n(known, __ATOMIC_RELAXED);

	if (f == NULL) {
		f = cshim_interpose_find(name);
		__atomic_store_n(known, f, __ATOMIC_RELAXED);
	}
	return f;
}

#ifdef CSHIM_NO_INTERPOSITION
enum { CALL = -1, POINTER = -1 };
#elif defined(__LP64__) && defined(__x86_64__)
enum { CALL = R_X86_64_JUMP_SLOT, POINTER = R_X86_64_GLOB_DAT };
#elif defined(__LP64__) && defined(__aarch64__)
enum { CALL = R_AARCH64_JUMP_SLOT, POINTER = R_AARCH64_GLOB_DAT };
#else
enum { CALL = -1, POINTER = -1 };
#endif

/* Whether the dynamic linker has made the page of an address read-only. */
static bool is_protected(uintptr_t address, uintptr_t page)
{
	ElfW(Half) i;

	for (i = 0; i < libcoap.n_headers; i++) {
		const ElfW(Phdr) *h = &libcoap.headers[i];
		uintptr_t begin = (libcoap.base + h->p_vaddr) & -page;
		uintptr_t end = (libcoap.base + h->p_vaddr + h->p_memsz) & -page;

		if (h->p_type == PT_GNU_RELRO && address >= begin && address < end)
			return true;
	}
	return false;
}

static bool put(void **place, void *f)
{
	uintptr_t page = sysconf(_SC_PAGESIZE);
	void *start = (void *)((uintptr_t)place & -page);
	bool protected = is_protected((uintptr_t)place, page);

	if (protected && mprotect(start, page, PROT_READ | PROT_WRITE) != 0)
		return false;
	__atomic_store_n(place, f, __ATOMIC_RELEASE);
	if (protected)
		mprotect(start, page, PROT_READ);
	return true;
}

/* What a place calls, or would call once the dynamic linker has looked it up. */
static void *original(void *const *place, const ElfW(Sym) *symbol, const char *name)
{
	void *own = symbol->st_shndx == SHN_UNDEF ? NULL : (void *)(libcoap.base + symbol->st_value);
	void *f = *place;

	if (contains(&libcoap, f) && f != own)
		f = cshim_interpose_find(name);
	return contains(&libcoap, f) && f != own ? NULL : f;
}

static void replace(int i, void **place, const ElfW(Sym) *symbol)
{
	void *f;

	found[i].places++;
	if (*place == table[i].ours)
		return;
	f = original(place, symbol, table[i].symbol);
	if (f == NULL)
		return;
	__atomic_store_n(&cshim_interpose_original[i], f, __ATOMIC_RELEASE);
	found[i].replaced += put(place, table[i].ours);
}

/* A section of libcoap's, the entries of which end as the dynamic section says. */
struct section {
	const char *start;
	size_t size;
};

static void walk(struct section relocations, const ElfW(Sym) *symbols, const char *names)
{
	const ElfW(Rela) *r = (const void *)relocations.start;
	const ElfW(Rela) *end = r + relocations.size / sizeof(*r);
	int i;

	for (; r < end; r++) {
		const ElfW(Sym) *symbol = &symbols[ELF64_R_SYM(r->r_info)];

		if ((int)ELF64_R_TYPE(r->r_info) != CALL && (int)ELF64_R_TYPE(r->r_info) != POINTER)
			continue;
		for (i = 0; i < CSHIM_N_REPLACED; i++) {
			if (strcmp(names + symbol->st_name, table[i].symbol) == 0)
				replace(i, (void **)(libcoap.base + r->r_offset), symbol);
		}
	}
}

/* Some dynamic linkers have added the base already. */
static const char *address(ElfW(Addr) value)
{
	return (const char *)(value < libcoap.base ? libcoap.base + value : value);
}

static void replace_all(const ElfW(Dyn) *d)
{
	struct section calls = { 0 }, others = { 0 };
	const char *symbols = NULL, *names = NULL;
	bool rela = true;

	for (; d->d_tag != DT_NULL; d++) {
		switch (d->d_tag) {
		case DT_JMPREL:
			calls.start = address(d->d_un.d_ptr);
			break;
		case DT_PLTRELSZ:
			calls.size = d->d_un.d_val;
			break;
		case DT_PLTREL:
			rela = d->d_un.d_val == DT_RELA;
			break;
		case DT_RELA:
			others.start = address(d->d_un.d_ptr);
			break;
		case DT_RELASZ:
			others.size = d->d_un.d_val;
			break;
		case DT_SYMTAB:
			symbols = address(d->d_un.d_ptr);
			break;
		case DT_STRTAB:
			names = address(d->d_un.d_ptr);
			break;
		}
	}
	if (!rela || symbols == NULL || names == NULL)
		return;
	walk(calls, (const void *)symbols, names);
	walk(others, (const void *)symbols, names);
}

void cshim_interpose_apply(const struct cshim_replacement replacements[CSHIM_N_REPLACED])
{
	ElfW(Half) i;
	int k;

	if (CALL < 0 || dl_iterate_phdr(look_at, NULL) == 0)
		return;
	table = replacements;
	for (k = 0; k < CSHIM_N_REPLACED; k++)
		cshim_interpose_original[k] = cshim_interpose_find(table[k].symbol);
	for (i = 0; i < libcoap.n_headers; i++) {
		if (libcoap.headers[i].p_type == PT_DYNAMIC)
			replace_all((const void *)(libcoap.base + libcoap.headers[i].p_vaddr));
	}
}

bool cshim_interpose_works(enum cshim_replaced which)
{
	return found[which].places > 0 && found[which].replaced == found[which].places;
}
