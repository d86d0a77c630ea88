/* Writes memory that nobody can read to stderr, where that is legal or is refused, waits for killed children in odd ways, and cancels threads
 * that write or wait. Prints what each call has returned and left in errno. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BEFORE 123

static void tell(const char *what, long got) {
    int left = errno;
    printf("%s: %ld, errno %d\n", what, got, left);
    fflush(stdout);
    errno = BEFORE;
}

static int killed_child(void) {
    int child = fork();
    if (child == 0) {
        raise(SIGKILL);
        _exit(1);
    }
    return child;
}

static char *volatile nowhere = (char *)8;
static int full[2];
static int sleeper;

static void cleaned(void *what) {
    printf("cleaned up after %s\n", (char *)what);
    fflush(stdout);
}

static void *fills(void *unused) {
    static char text[1 << 20];
    pthread_cleanup_push(cleaned, "write");
    for (;;)
        write(full[1], text, sizeof text);
    pthread_cleanup_pop(0);
    return unused;
}

static void *waits(void *unused) {
    pthread_cleanup_push(cleaned, "waitpid");
    waitpid(sleeper, NULL, 0);
    pthread_cleanup_pop(0);
    return unused;
}

static void cancel(void *(*function)(void *)) {
    pthread_t thread;
    void *ended;
    if (pthread_create(&thread, NULL, function, NULL))
        exit(77);
    pthread_cancel(thread);
    pthread_join(thread, &ended);
    tell("cancelled", ended == PTHREAD_CANCELED);
}

int main(void) {
    long page = sysconf(_SC_PAGESIZE);
    char *kept = malloc(3 << 20);
    memset(kept, 1, 3 << 20);
    char *at = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static const char begins[] = "Traceback (most recent call last):\nMemoryErr";
    memset(at, '\n', page);
    memcpy(at + page - strlen(begins), begins, strlen(begins));
    mprotect(at + page, 2 * page, PROT_NONE);

    int null = open("/dev/null", O_WRONLY);
    dup2(null, 2);
    errno = BEFORE;
    tell("nothing that can be read, to /dev/null", write(2, at + page, 2 * page));
    tell("half of it can be read, to /dev/null", write(2, at, 2 * page));
    tell("no address at all, to /dev/null", write(2, nowhere, 100));
    int ends[2];
    if (pipe(ends))
        return 77;
    dup2(ends[1], 2);
    errno = BEFORE;
    tell("nothing that can be read, to a pipe", write(2, at + page, page));
    tell("half of it can be read, to a pipe", write(2, at, 2 * page));
    fcntl(2, F_SETFL, O_NONBLOCK);
    tell("more than a pipe takes", write(2, kept, 3 << 20));
    tell("to a full pipe", write(2, kept, 100));
    close(2);
    errno = BEFORE;
    tell("to nowhere", write(2, kept, 100));
    dup2(null, 2);

    char place[2 * sizeof(int)];
    int *crooked = (int *)(place + 1);
    int child = killed_child(), status = 0;
    errno = BEFORE;
    int ended = waitpid(child, crooked, 0) == child;
    memcpy(&status, crooked, sizeof status);
    tell("a crooked status", ended * 1000 + status);
    killed_child();
    errno = BEFORE;
    tell("no status", wait(NULL) > 0);
    killed_child();
    errno = BEFORE;
    tell("a status that cannot be written", wait((int *)(at + page)));
    tell("no child", wait4(-1, &status, 0, NULL));

    if (pipe(full))
        return 77;
    cancel(fills);
    sleeper = fork();
    if (sleeper == 0) {
        pause();
        _exit(0);
    }
    cancel(waits);
    kill(sleeper, SIGKILL);
    errno = BEFORE;
    tell("the sleeper", waitpid(sleeper, &status, 0) == sleeper);
    free(kept);
    return 7;
}
