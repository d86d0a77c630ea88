// Calls one of the C library's allocating functions in every way, as often as its second argument says, and tells how much it held
// at most.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HELD 200
#define PAGE ((size_t)4096)

static struct {
    char *at;
    size_t bytes;
} held[HELD];
static size_t live, peak;
static uint64_t state = 88172645463325252u;

static size_t below(size_t end) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % end;
}

// Of a few bytes as often as of many.
static size_t some_bytes(void) {
    return 1 + below((size_t)1 << (3 + below(18)));
}

static void holds(int slot, void *block, size_t bytes) {
    if (!block || block == MAP_FAILED)
        abort();
    live += bytes - held[slot].bytes;
    held[slot].at = block;
    held[slot].bytes = bytes;
    if (live > peak)
        peak = live;
}

static void gives_back(int slot) {
    free(held[slot].at);
    live -= held[slot].bytes;
    held[slot].at = NULL;
    held[slot].bytes = 0;
}

static size_t pages(size_t bytes) {
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

static void *map(void *at, size_t bytes, int flags) {
    return mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static void allocates(const char *function, int slot) {
    size_t bytes = some_bytes(), alignment = (size_t)16 << below(9), each = 1 + below(24);
    void *block = NULL;
    if (!strcmp(function, "malloc")) {
        block = malloc(bytes);
    } else if (!strcmp(function, "calloc")) {
        bytes = (bytes + each - 1) / each * each;
        block = calloc(bytes / each, each);
    } else if (!strcmp(function, "realloc")) {
        block = realloc(NULL, bytes);
    } else if (!strcmp(function, "reallocarray")) {
        bytes = (bytes + each - 1) / each * each;
        block = reallocarray(NULL, bytes / each, each);
    } else if (!strcmp(function, "posix_memalign")) {
        if (posix_memalign(&block, 3, bytes) != EINVAL || posix_memalign(&block, alignment, bytes))
            abort();
    } else if (!strcmp(function, "aligned_alloc")) {
        bytes = (bytes + alignment - 1) / alignment * alignment;
        block = aligned_alloc(alignment, bytes);
    } else if (!strcmp(function, "memalign")) {
        block = memalign(alignment, bytes);
    } else if (!strcmp(function, "valloc")) {
        block = valloc(bytes);
    } else if (!strcmp(function, "pvalloc")) {
        block = pvalloc(bytes);
    } else {
        abort();
    }
    holds(slot, block, bytes);
}

// What is there already is grown, shrunk, moved, given back by a size of zero, or asked for more than there is.
static void resizes(const char *function, int slot) {
    size_t bytes = some_bytes(), each = 1 + below(24);
    if (below(8) == 0) {
        if (realloc(held[slot].at, (size_t)1 << 60))
            abort();
    } else if (below(8) == 0) {
        if (realloc(held[slot].at, 0))
            abort();
        held[slot].at = NULL;
        gives_back(slot);
    } else if (!strcmp(function, "reallocarray")) {
        bytes = (bytes + each - 1) / each * each;
        holds(slot, reallocarray(held[slot].at, bytes / each, each), bytes);
    } else {
        holds(slot, realloc(held[slot].at, bytes), bytes);
    }
}

static void maps(const char *function, int slot) {
    size_t bytes = pages(some_bytes() * 8);
    char *at = held[slot].at;
    size_t before = held[slot].bytes, half = pages(before / 2);
    int moves = !strcmp(function, "mremap");
    if (!at) {
        holds(slot, map(NULL, bytes, 0), bytes);
    } else if (moves && below(2)) {
        holds(slot, mremap(at, before, bytes, MREMAP_MAYMOVE), bytes);
    } else if (below(3) == 0 && half < before) {
        munmap(at + half, before - half);
        holds(slot, at, half);
    } else if (!moves && below(2)) {
        // In the place of the beginning of what was there; the kernel may not take the two for one that can be moved.
        holds(slot, map(at, half, MAP_FIXED), before);
    } else {
        munmap(at, before);
        live -= before;
        held[slot].at = NULL;
        held[slot].bytes = 0;
    }
}

int main(int argc, char **argv) {
    const char *function = argv[1];
    long rounds = atol(argv[2]);
    // Something is held even where nothing is called.
    char *first = malloc(1 << 20);
    live = peak = 1 << 20;
    for (long round = 0; round < rounds; round++) {
        int slot = below(HELD);
        if (!strcmp(function, "mmap") || !strcmp(function, "mremap"))
            maps(function, slot);
        else if (held[slot].at && !strncmp(function, "realloc", 7))
            resizes(function, slot);
        else if (held[slot].at)
            gives_back(slot);
        else
            allocates(function, slot);
    }
    first[0] = 1;
    char text[100];
    int length = snprintf(text, sizeof text, "%zu\n", peak);
    return write(1, text, length) != length;
}
