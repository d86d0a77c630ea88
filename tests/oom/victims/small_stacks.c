// Allocates on a stack of 16 KiB, the smallest that a thread may have, and lets an allocation fail there; then the same on the first
// thread's stack, which the caller has limited.
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 10, BYTES = 2 << 20 };

static void *allocates(void *argument) {
    for (int block = 0; block < BLOCKS; block++) {
        char *kept = malloc(BYTES);
        if (!kept)
            return NULL;
        memset(kept, 1, BYTES);
    }
    // More than there are addresses.
    char *volatile none = malloc(SIZE_MAX / 4);
    return none == NULL && errno == ENOMEM ? argument : NULL;
}

int main(void) {
    pthread_attr_t small;
    pthread_t thread;
    void *done = NULL;
    int is_done;
    pthread_attr_init(&small);
    if (pthread_attr_setstacksize(&small, 16 << 10) || pthread_create(&thread, &small, allocates, &is_done))
        return 9;
    pthread_join(thread, &done);
    if (!done || !allocates(&is_done))
        return 8;
    return puts("done") < 0;
}
