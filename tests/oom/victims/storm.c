// Eight threads allocate, resize and free as fast as they can, also each other's blocks; then 20 MiB are held, and a request fails.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, ROUNDS = 100000, SLOTS = 512 };

static _Atomic(void *) slots[SLOTS];

static void *storm(void *seed) {
    unsigned random = (unsigned)(size_t)seed * 2654435761u + 1;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1103515245u + 12345u;
        size_t bytes = random % 64 ? random / 64 % 700 : random / 64 % 300000;
        void *block = random & 1 << 20 ? calloc(1, bytes + 1) : malloc(bytes + 1);
        if (random & 1 << 21)
            block = realloc(block, bytes / 2 + 1);
        memset(block, 1, bytes / 2 + 1);
        // Whoever comes next to this slot frees it.
        free(atomic_exchange(&slots[random / 8 % SLOTS], block));
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, storm, (void *)i))
            abort();
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < SLOTS; i++)
        free(slots[i]);
    char *held = malloc(20 << 20);
    held[0] = 1;
    puts(malloc((size_t)1 << 46) ? "there was room" : "end");
    return 0;
}
