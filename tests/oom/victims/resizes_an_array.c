// Gets blocks by reallocarray, which an allocator that is put in malloc's place may lack. With -DOWN_MALLOC it has such an allocator,
// each block of which begins at a page, with a page before it that nobody may read.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef OWN_MALLOC
static void *get(size_t bytes) {
    char *start = mmap(NULL, bytes + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED || mprotect(start, 4096, PROT_NONE) != 0)
        return NULL;
    return start + 4096;
}

void *malloc(size_t bytes) {
    return get(bytes);
}

void *calloc(size_t count, size_t bytes) {
    return get(count * bytes);
}

// The victim never resizes a block that has something in it.
void *realloc(void *old, size_t bytes) {
    (void)old;
    return get(bytes);
}

void free(void *block) {
    (void)block;
}
#endif

int main(void) {
    for (int i = 0; i < 50; i++) {
        char *block = reallocarray(NULL, 1000, 200);
        if (!block)
            return 2;
        memset(block, 1, 200000);
        free(block);
    }
    return 7;
}
