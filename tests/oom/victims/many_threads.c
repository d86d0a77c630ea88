// So many threads allocate so many blocks each, of 16 to 1039 bytes, and hold the last thousand; then it tells what is held and what it took.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define HELD 1000

static long blocks;
static pthread_barrier_t all_done;

// Of this program alone: ru_maxrss has that of who forked it.
static long high_water_mark(void) {
    char line[256];
    long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status) && sscanf(line, "VmHWM: %ld", &kib) != 1)
        ;
    if (status)
        fclose(status);
    return kib * 1024;
}

static void *allocates(void *argument) {
    uint64_t state = (uintptr_t)argument * 0x9e3779b97f4a7c15u + 1;
    void *held[HELD] = {0};
    size_t sizes[HELD] = {0};
    for (long block = 0; block < blocks; block++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        int slot = block % HELD;
        free(held[slot]);
        sizes[slot] = 16 + (state >> 20) % 1024;
        held[slot] = malloc(sizes[slot]);
    }
    size_t sum = 0;
    for (int slot = 0; slot < HELD; slot++)
        sum += sizes[slot];
    // Nothing is given back before all hold theirs.
    pthread_barrier_wait(&all_done);
    return (void *)sum;
}

int main(int argc, char **argv) {
    int count = atoi(argv[1]);
    blocks = atol(argv[2]);
    pthread_t threads[1000];
    pthread_barrier_init(&all_done, NULL, count);
    for (intptr_t thread = 0; thread < count; thread++)
        if (pthread_create(&threads[thread], NULL, allocates, (void *)thread))
            abort();
    size_t held = 0;
    for (int thread = 0; thread < count; thread++) {
        void *sum;
        pthread_join(threads[thread], &sum);
        held += (size_t)sum;
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    long cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000L + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
    printf("{\"HELD\": %zu, \"RESIDENT\": %ld, \"CPU_MICROSECONDS\": %ld}\n", held, high_water_mark(), cpu);
    return 0;
}
