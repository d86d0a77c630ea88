/* Four threads with every signal blocked, and one without, allocate until `harmed` is there, and then for a while. Ends with 7. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEPT = 4000 };
static atomic_int is_harmed;

static void allocate(char **kept, unsigned *seed) {
    for (int round = 0; round < 20000; round++) {
        int at = rand_r(seed) % KEPT;
        free(kept[at]);
        size_t bytes = round % 100 == 0 ? 200000 : 20 + rand_r(seed) % 2000;
        kept[at] = malloc(bytes);
        memset(kept[at], 1, bytes < 64 ? bytes : 64);
    }
}

static void *thread(void *number) {
    unsigned seed = (unsigned)(size_t)number + 1;
    char **kept = calloc(KEPT, sizeof *kept);
    while (!is_harmed)
        allocate(kept, &seed);
    for (int more = 0; more < 10; more++)
        allocate(kept, &seed);
    for (int at = 0; at < KEPT; at++)
        free(kept[at]);
    free(kept);
    return NULL;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 4;
    pthread_t started[16];
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int at = 0; at < threads; at++)
        pthread_create(&started[at], NULL, thread, (void *)(size_t)at);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    char *kept[KEPT] = {0};
    unsigned seed = 77;
    allocate(kept, &seed);
    printf("holding\n");
    fflush(stdout);
    while (access("harmed", F_OK) != 0)
        allocate(kept, &seed);
    is_harmed = 1;
    for (int more = 0; more < 10; more++)
        allocate(kept, &seed);
    for (int at = 0; at < threads; at++)
        pthread_join(started[at], NULL);
    printf("done\n");
    return 7;
}
