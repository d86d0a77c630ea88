// Pairs of malloc and free of 16 B to 1 MB on several threads, for native_pairs.py.
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

enum { HELD = 64 };

struct share {
    pthread_t thread;
    long pairs;
    uint64_t state;
    uint64_t bytes;
};

// The powers of two up to 2 KiB are equally likely. One block in 1024 is larger, up to 1 MiB: large blocks are rare, as in real programs.
static size_t next_size(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    unsigned power = 4 + (*state >> 32) % 8;
    if ((*state & 1023) == 0)
        power = 12 + (*state >> 40) % 9;
    return ((size_t)1 << power) - (*state >> 50) % 8;
}

static void *run(void *argument) {
    struct share *share = argument;
    // On the stack of this thread: in the array, the counters of several threads could share a cache line, which would decide the time.
    uint64_t state = share->state, bytes = 0;
    // Frees another block than the one that was allocated last.
    char *held[HELD] = {0};
    for (long i = 0; i < share->pairs; i++) {
        size_t size = next_size(&state);
        char *block = malloc(size);
        block[0] = (char)i;
        block[size - 1] = (char)i;
        bytes += size;
        free(held[i % HELD]);
        held[i % HELD] = block;
    }
    for (int i = 0; i < HELD; i++)
        free(held[i]);
    share->bytes = bytes;
    return NULL;
}

// Returns the sum of the sizes, which depends only on the arguments.
uint64_t pairs(int threads, long pairs_each) {
    struct share *shares = calloc(threads, sizeof *shares);
    uint64_t bytes = 0;
    for (int i = 0; i < threads; i++) {
        shares[i].pairs = pairs_each;
        shares[i].state = 88172645463325252u + (uint64_t)i;
        pthread_create(&shares[i].thread, NULL, run, &shares[i]);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(shares[i].thread, NULL);
        bytes += shares[i].bytes;
    }
    free(shares);
    return bytes;
}
