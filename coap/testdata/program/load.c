/* Loads libraries, and calls CountResumed of the last one. An argument that ends in + is loaded for all to
 * see. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	void *library = NULL;
	int (*count)(void);

	for (int i = 1; i < argc; i++) {
		char *end = argv[i] + strlen(argv[i]) - 1;
		int all = *end == '+';

		if (all)
			*end = 0;
		library = dlopen(argv[i], RTLD_NOW | (all ? RTLD_GLOBAL : RTLD_LOCAL));
		if (library == NULL) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
	}
	count = (int (*)(void))dlsym(library, "CountResumed");
	return count();
}
