// Maps, unmaps in the middle, maps over, shrinks and grows; in the end 105 MiB are held, more than ever before.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define MIB ((size_t)1 << 20)

static char *map(void *at, size_t bytes, int flags) {
    char *address = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (address == MAP_FAILED)
        abort();
    return address;
}

int main(void) {
    char *block = map(NULL, 100 * MIB, 0);
    munmap(block + 20 * MIB, 40 * MIB); // 20 and 40 are left
    map(block + 70 * MIB, 10 * MIB, MAP_FIXED); // in the place of others: still 60
    block = mremap(block, 20 * MIB, 10 * MIB, 0); // 50
    block = mremap(block, 10 * MIB, 15 * MIB, MREMAP_MAYMOVE); // 55
    // No memory: what is reserved but cannot be touched, and what belongs to a file.
    if (mmap(NULL, 200 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
        abort();
    char *held = malloc(50 * MIB); // 105
    held[0] = block[0] = 1;
    puts("end");
    return 0;
}
