// Everything that may return NULL, or fail, without anything having run out.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(void) {
    free(malloc(0));
    free(calloc(0, 8));
    free(calloc(8, 0));
    void *block = realloc(malloc(8), 0);
    free(realloc(NULL, 0));
    free(block);
    free(NULL);
    // Wrong arguments, not a lack of memory: EINVAL each time.
    posix_memalign(&block, 3, 8);
    mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    // A file that is not there is no failed allocation either: EBADF.
    mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 12345, 0);
    puts("fine");
    return 0;
}
