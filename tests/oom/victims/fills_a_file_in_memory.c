// Fills a file in memory, which counts for the cgroup and for no process, until the kernel kills a process.
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char block[1 << 16], own[4 << 20];

int main(int words, char **_) {
    // With an argument, it is the largest process of a small job.
    if (words > 1)
        memset(own, 1, sizeof own);
    int file = memfd_create("victim", 0);
    while (file >= 0 && write(file, block, sizeof block) > 0)
        ;
    return 3;
}
