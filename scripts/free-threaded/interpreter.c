/* Makes an ordinary interpreter of a program that has the whole of CPython in it, but whose `main` runs something else: the program
   begins at `Py_BytesMain`, the `main` of `python3`. To be loaded with that program. */
#define _GNU_SOURCE
#include <dlfcn.h>

typedef int Main(int, char **, char **);
typedef int Start(Main *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

/* What the first instructions of each program call, with the address of its `main`. */
int __libc_start_main(Main *replaced, int count, char **arguments, void (*begin)(void), void (*end)(void), void (*unload)(void), void *stack) {
    (void)replaced;
    Start *start = (Start *)dlsym(RTLD_NEXT, "__libc_start_main");
    Main *interpreter = (Main *)dlsym(RTLD_DEFAULT, "Py_BytesMain");
    return start(interpreter, count, arguments, begin, end, unload, stack);
}
