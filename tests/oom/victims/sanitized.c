/* Allocates, starts a thread, maps memory, writes a line, and ends with 7. With an argument it first writes behind a block. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *thread(void *given) {
    char *block = malloc(1000);
    memset(block, 1, 1000);
    free(block);
    return given;
}

int main(int argc, char **argv) {
    char *block = malloc(100);
    if (argc > 1)
        block[100 + atoi(argv[1])] = 1;
    pthread_t started;
    pthread_create(&started, NULL, thread, NULL);
    pthread_join(started, NULL);
    char *mapped = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(mapped, 1, 4 << 20);
    munmap(mapped, 4 << 20);
    signal(SIGUSR2, SIG_IGN);
    free(block);
    printf("%s ran, %s\n", argv[0], getenv("LD_PRELOAD") ? "preloaded" : "alone");
    return 7;
}
