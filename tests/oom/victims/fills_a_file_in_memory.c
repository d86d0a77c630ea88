// Fills a file in memory, which counts for the cgroup and for no process, until the kernel kills something.
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

static char block[1 << 16];

int main(void) {
    int file = memfd_create("victim", 0);
    while (file >= 0 && write(file, block, sizeof block) > 0)
        ;
    return 3;
}
