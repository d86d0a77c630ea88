/* Waits in the kernel in one of several ways and says what came of it. Waits for a byte in the FIFO `go`, or for a time. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int timed(const char *how) {
    struct timespec two = {2, 0};
    if (!strcmp(how, "usleep"))
        return usleep(2000000);
    if (!strcmp(how, "sleep"))
        return sleep(2);
    if (!strcmp(how, "nanosleep"))
        return nanosleep(&two, NULL);
    if (!strcmp(how, "clock_nanosleep"))
        return clock_nanosleep(CLOCK_MONOTONIC, 0, &two, NULL);
    if (!strcmp(how, "until")) {
        clock_gettime(CLOCK_MONOTONIC, &two);
        two.tv_sec += 2;
        return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &two, NULL);
    }
    if (!strcmp(how, "poll-time"))
        return poll(NULL, 0, 2000);
    /* The time is that of the socket. Where a signal has interrupted the call, errno is another one. */
    int ends[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    struct timeval also_two = {2, 0};
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &also_two, sizeof also_two);
    char byte;
    struct iovec into = {&byte, 1};
    if (!strcmp(how, "read"))
        read(ends[0], &byte, 1);
    else if (!strcmp(how, "readv"))
        readv(ends[0], &into, 1);
    else if (!strcmp(how, "recv"))
        recv(ends[0], &byte, 1, 0);
    else
        exit(3);
    return errno == EAGAIN ? 0 : -2;
}

static int awaits(const char *how, int file) {
    struct pollfd one = {file, POLLIN, 0};
    struct timespec minute = {60, 0};
    struct timeval long_time = {60, 0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(file, &set);
    if (!strcmp(how, "poll"))
        return poll(&one, 1, -1);
    if (!strcmp(how, "poll-timeout"))
        return poll(&one, 1, 60000);
    if (!strcmp(how, "ppoll"))
        return ppoll(&one, 1, &minute, NULL);
    if (!strcmp(how, "select"))
        return select(file + 1, &set, NULL, NULL, &long_time);
    if (!strcmp(how, "pselect"))
        return pselect(file + 1, &set, NULL, NULL, &minute, NULL);
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event);
    if (!strcmp(how, "epoll_wait"))
        return epoll_wait(epoll, &event, 1, -1);
    if (!strcmp(how, "epoll_pwait"))
        return epoll_pwait(epoll, &event, 1, 60000, NULL);
    return timed(how) + 1;
}

int main(int argc, char **argv) {
    char *kept = malloc(3 << 20);
    memset(kept, 1, 3 << 20);
    mkfifo("go", 0600);
    int file = open("go", O_RDWR);
    printf("waiting\n");
    fflush(stdout);
    double began = now();
    errno = 0;
    int answer = awaits(argv[1], file);
    int because = answer < 0 ? errno : 0;
    double took = now() - began;
    printf("%s: %d, %s\n", argv[1], answer, because ? strerror(because) : "undisturbed");
    fprintf(stderr, "took %.2f s\n", took);
    if (kept[5] != 1 || (argc > 2 && took < atof(argv[2])))
        return 1;
    return 0;
}
