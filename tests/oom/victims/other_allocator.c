// Another library that somebody preloads: it counts the allocations that reach it, and says so at the end.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned long seen;
static void *(*next)(size_t);

void *malloc(size_t size) {
    if (!next)
        next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED);
    return next(size);
}

__attribute__((destructor)) static void tell(void) {
    char line[64];
    int length = snprintf(line, sizeof line, "other allocator: %s\n", seen > 100 ? "many" : "few");
    if (write(2, line, length) != length)
        _exit(99);
}
