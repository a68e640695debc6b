/* Loads libraries, and calls CountResumed of the last one. An argument that ends in + is loaded for
 * all to see. The argument - unloads what was loaded last, after a call of its CountResumed if it
 * has that. */
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

		if (strcmp(argv[i], "-") == 0) {
			count = (int (*)(void))dlsym(library, "CountResumed");
			if (count != NULL && count() != 0)
				return 1;
			dlclose(library);
			continue;
		}
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
