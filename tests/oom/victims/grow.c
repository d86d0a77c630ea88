// Grows by one allocation function, named by the argument, until it fails; the bytes held go to stdout, the status is 3.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define STEP ((size_t)1 << 20)

static void *by_malloc(void) { return malloc(STEP); }
static void *by_calloc(void) { return calloc(STEP / 16, 16); }
static void *by_posix_memalign(void) {
    void *block = NULL;
    errno = posix_memalign(&block, 64, STEP);
    return block;
}
static void *by_aligned_alloc(void) { return aligned_alloc(4096, STEP); }
static void *by_memalign(void) { return memalign(256, STEP); }
static void *by_valloc(void) { return valloc(STEP); }
static void *by_pvalloc(void) { return pvalloc(STEP); }
static void *mapped(void *address) { return address == MAP_FAILED ? NULL : address; }
static void *by_mmap(void) {
    return mapped(mmap(NULL, STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}
static void *by_mmap64(void) {
    return mapped(mmap64(NULL, STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

// These three have one block that grows.
static void *block;
static size_t size;
static void *by_realloc(void) { return realloc(block, size + STEP); }
static void *by_reallocarray(void) { return reallocarray(block, size / 16 + STEP / 16, 16); }
static void *by_mremap(void) { return size ? mapped(mremap(block, size, size + STEP, MREMAP_MAYMOVE)) : by_mmap(); }

static const struct {
    const char *name;
    void *(*grow)(void);
} ways[] = {
    {"malloc", by_malloc},
    {"calloc", by_calloc},
    {"posix_memalign", by_posix_memalign},
    {"aligned_alloc", by_aligned_alloc},
    {"memalign", by_memalign},
    {"valloc", by_valloc},
    {"pvalloc", by_pvalloc},
    {"mmap", by_mmap},
    {"mmap64", by_mmap64},
    {"realloc", by_realloc},
    {"reallocarray", by_reallocarray},
    {"mremap", by_mremap},
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc == 2 && i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(argv[1], ways[i].name))
            continue;
        for (void *next; errno = 0, (next = ways[i].grow()); size += STEP) {
            block = next;
            *(volatile char *)block = 1;
        }
        int failed_with = errno;
        printf("%s\n%zu\n", failed_with == ENOMEM ? "ENOMEM" : "another errno", size);
        return 3;
    }
    return 2;
}
