// Grows by touched blocks until the kernel kills it, in so many threads and in so many processes, each of which dies of its child's signal.
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t step;

static void *grow(void *unused) {
    for (;;)
        memset(malloc(step), 1, step);
    return unused;
}

static void grow_in(int threads) {
    pthread_t thread;
    while (--threads > 0)
        pthread_create(&thread, NULL, grow, NULL);
    grow(NULL);
}

int main(int argc, char **argv) {
    int threads = atoi(argv[1]), processes = atoi(argv[2]);
    step = argc > 3 ? (size_t)atoi(argv[3]) << 10 : 64 << 10;
    if (processes == 1)
        grow_in(threads);
    for (int i = 0; i < processes; i++)
        if (fork() == 0)
            grow_in(threads);
    int status, last = 0;
    while (wait(&status) > 0)
        if (WIFSIGNALED(status))
            last = WTERMSIG(status);
    kill(getpid(), last);
    return 1;
}
