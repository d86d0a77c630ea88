// Starts threads until that is refused, and ends with status 4.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *waits(void *nothing) {
    pause();
    return nothing;
}

int main(void) {
    // So that there is a recording.
    char *kept = malloc(4 << 20);
    memset(kept, 1, 4 << 20);
    pthread_t thread;
    while (pthread_create(&thread, NULL, waits, NULL) == 0) {
    }
    return kept[0] + 3;
}
