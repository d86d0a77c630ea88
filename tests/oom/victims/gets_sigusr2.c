/* Starts a child that waits without a handler for SIGUSR2, has the signal reach it in one of several ways, and says how it ended. */
#define _GNU_SOURCE
#include <aio.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *how;

static int is(const char *name) { return !strcmp(how, name); }

static void wait_two_seconds(void) {
    struct timespec left = {2, 0};
    while (nanosleep(&left, &left))
        ;
}

/* What the child does after it has said that it is there: has the signal sent by the kernel or by itself, and waits for it. */
static void child(int ready) {
    struct sigevent by_signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    if (is("ignored"))
        signal(SIGUSR2, SIG_IGN);
    sigset_t usr2, none;
    sigemptyset(&none);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    if (is("sigsuspend"))
        sigprocmask(SIG_BLOCK, &usr2, NULL);
    if (is("group"))
        setpgid(0, 0);
    write(ready, "r", 1);
    if (is("itself")) {
        kill(getpid(), SIGUSR2);
    } else if (is("timer")) {
        timer_t timer;
        struct itimerspec soon = {.it_value = {.tv_nsec = 1000000}};
        timer_create(CLOCK_MONOTONIC, &by_signal, &timer);
        timer_settime(timer, 0, &soon, NULL);
    } else if (is("queue")) {
        char name[64];
        snprintf(name, sizeof name, "/gets_sigusr2-%d", getpid());
        mqd_t queue = mq_open(name, O_RDWR | O_CREAT, 0600, NULL);
        mq_unlink(name);
        mq_notify(queue, &by_signal);
        mq_send(queue, "m", 1, 0);
    } else if (is("aio")) {
        struct aiocb write = {.aio_fildes = open("/dev/null", O_WRONLY), .aio_buf = "m", .aio_nbytes = 1, .aio_sigevent = by_signal};
        aio_write(&write);
        wait_two_seconds();
    } else if (is("file")) {
        int ends[2];
        pipe(ends);
        fcntl(ends[0], F_SETOWN, getpid());
        fcntl(ends[0], F_SETSIG, SIGUSR2);
        fcntl(ends[0], F_SETFL, O_ASYNC);
        write(ends[1], "m", 1);
    } else if (is("sigsuspend")) {
        alarm(2);
        sigsuspend(&none);
    }
    wait_two_seconds();
    _exit(5);
}

/* Sends the signal, with a process between that has ended or has lost its parent where the way asks for it. */
static void send(pid_t target) {
    char script[64];
    snprintf(script, sizeof script, "kill -USR2 %d; exec sleep 0.5", target);
    if (is("kill") || is("ignored") || is("sigsuspend"))
        kill(target, SIGUSR2);
    else if (is("sigqueue"))
        sigqueue(target, SIGUSR2, (union sigval){.sival_int = 7});
    else if (is("thread"))
        syscall(SYS_tgkill, target, target, SIGUSR2);
    else if (is("group"))
        kill(-target, SIGUSR2);
    else if (is("shell") && fork() == 0)
        execl("/bin/sh", "sh", "-c", script, NULL);
    else if (is("no-environment") && fork() == 0)
        execle("/bin/sh", "sh", "-c", script, NULL, (char *[]){NULL});
    else if (is("orphan") && fork() == 0) {
        if (fork())
            _exit(0);
        usleep(200000);
        execl("/bin/sh", "sh", "-c", script, NULL);
    }
}

/* A parent that ends before its child does; the child's end is seen by the end of the pipe. */
static void parent_dies(void) {
    int ready[2], alive[2];
    char byte;
    pipe(ready);
    pipe(alive);
    if (fork() == 0) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGUSR2);
            write(ready[1], "r", 1);
            wait_two_seconds();
            write(alive[1], "a", 1);
            _exit(0);
        }
        read(ready[0], &byte, 1);
        _exit(0);
    }
    wait(NULL);
    close(alive[1]);
    printf("%s: %s\n", how, read(alive[0], &byte, 1) ? "alive" : "ended");
}

int main(int argc, char **argv) {
    how = argc > 1 ? argv[1] : "kill";
    if (is("parent"))
        return parent_dies(), 0;
    int ready[2], status;
    char byte;
    pipe(ready);
    pid_t target = fork();
    if (target == 0)
        child(ready[1]);
    read(ready[0], &byte, 1);
    send(target);
    waitpid(target, &status, 0);
    printf("%s: signal %d, status %d\n", how, WTERMSIG(status), WEXITSTATUS(status));
    return 0;
}
