// What extensions do when memory runs out: check too little, abort, or fail in many threads at once.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP (1 << 20)

// Says how much is held, without stdio's buffers.
static void tell(size_t held) {
    char line[32];
    int length = snprintf(line, sizeof line, "%zu\n", held);
    if (write(1, line, length) != length)
        _exit(99);
}

void never_checks_null(void) {
    for (size_t held = 0;; held += STEP) {
        tell(held);
        memset(malloc(STEP), 1, STEP);
    }
}

void aborts_on_null(void) {
    for (size_t held = 0;; held += STEP) {
        tell(held);
        char *block = malloc(STEP);
        if (!block)
            abort();
        memset(block, 1, STEP);
    }
}

static void *grow(void *held) {
    char *block;
    while ((block = malloc(STEP))) {
        memset(block, 1, STEP);
        *(size_t *)held += STEP;
    }
    return NULL;
}

// What the thread had got when it got no more; it is kept.
size_t grow_in_thread(void) {
    size_t held = 0;
    pthread_t thread;
    if (pthread_create(&thread, NULL, grow, &held))
        return 0;
    pthread_join(thread, NULL);
    return held;
}

// Keeps blocks until there is no room, and lives with that.
void gives_up(void) {
    tell(grow_in_thread());
}

static pthread_barrier_t barrier;

static void *fail(void *failures) {
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 100; i++)
        *(size_t *)failures += malloc((size_t)1 << 46) == NULL;
    return NULL;
}

void fail_at_once(void) {
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    size_t failures[THREADS] = {0}, sum = 0;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, fail, &failures[i]))
            abort();
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += failures[i];
    }
    tell(sum);
}

// Calls back, as a library does that takes a callback.
void *call_back(void *(*callback)(void)) {
    return callback();
}
