// Fills its address space, gives the last part back, and says how many threads and sockets it can have then.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 4096
#define BLOCK (1 << 20)
#define THREADS 64

static void *wait_for_the_end(void *nothing) {
    pause();
    return nothing;
}

int main(int argc, char **argv) {
    static char *blocks[MOST];
    int count = 0, given_back = atoi(argv[1]);
    while (count < MOST && (blocks[count] = malloc(BLOCK)))
        count++;
    for (int index = count - given_back; index < count; index++)
        free(blocks[index]);
    pthread_attr_t large;
    pthread_attr_init(&large);
    pthread_attr_setstacksize(&large, 8 << 20);
    int threads = 0, sockets = 0;
    pthread_t thread;
    while (threads < THREADS && pthread_create(&thread, &large, wait_for_the_end, NULL) == 0)
        threads++;
    while (sockets < 20 && socket(AF_UNIX, SOCK_STREAM, 0) >= 0)
        sockets++;
    printf("%d %d\n", threads, sockets);
    return argc == 2 ? 0 : 9;
}
