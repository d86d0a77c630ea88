/* Sets handlers by every function of the C library, and says what each of them returns. Ends with 7. */
#define _GNU_SOURCE
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern __sighandler_t bsd_signal(int, __sighandler_t);
extern __sighandler_t sysv_signal(int, __sighandler_t);
extern __sighandler_t ssignal(int, __sighandler_t);
extern __sighandler_t sigset(int, __sighandler_t);

static volatile int heard;
static void handler(int number) { heard = number; }
static void full(int number, siginfo_t *info, void *context) {
    (void)context;
    heard = number + 100 * (info->si_code == SI_TKILL);
}

static const char *name(__sighandler_t found) {
    return found == SIG_DFL  ? "default"
           : found == SIG_IGN ? "ignored"
           : found == SIG_ERR ? "error"
           : found == handler ? "handler"
           : found == (__sighandler_t)full ? "full"
                                           : "somebody else's";
}

static void show(int number) {
    struct sigaction now;
    sigaction(number, NULL, &now);
    int first = 0;
    for (int other = 1; other < 32; other++)
        first |= sigismember(&now.sa_mask, other) << (other - 1);
    printf("%d %s %x %x\n", number, name(now.sa_handler), now.sa_flags & ~0x04000000, first);
}

int main(void) {
    char *kept = malloc(3 << 20);
    memset(kept, 1, 3 << 20);
    int numbers[] = {SIGBUS, SIGUSR2, SIGUSR1};
    for (int at = 0; at < 3; at++) {
        int number = numbers[at];
        show(number);
        __sighandler_t (*functions[])(int, __sighandler_t) = {signal, bsd_signal, ssignal, sysv_signal, sigset};
        for (int which = 0; which < 5; which++) {
            __sighandler_t wanted[] = {handler, SIG_IGN, SIG_DFL, handler, SIG_DFL};
            for (int what = 0; what < 5; what++) {
                printf("%d: %s\n", which, name(functions[which](number, wanted[what])));
                show(number);
                if (wanted[what] == handler) {
                    heard = 0;
                    raise(number);
                    printf("heard %d\n", heard);
                    show(number);
                }
            }
        }
        int flags[] = {0, SA_RESTART, SA_RESETHAND, SA_NODEFER | SA_ONSTACK, SA_SIGINFO, SA_SIGINFO | SA_RESETHAND};
        for (int which = 0; which < 6; which++) {
            struct sigaction action = {.sa_flags = flags[which]}, before;
            action.sa_sigaction = flags[which] & SA_SIGINFO ? full : (void *)handler;
            sigaddset(&action.sa_mask, SIGHUP);
            printf("%d\n", sigaction(number, &action, &before));
            printf("before: %s %x\n", name(before.sa_handler), before.sa_flags & ~0x04000000);
            heard = 0;
            raise(number);
            printf("heard %d\n", heard);
            show(number);
        }
        signal(number, SIG_DFL);
        show(number);
    }
    printf("%d\n", sigaction(SIGKILL, &(struct sigaction){0}, NULL));
    printf("%d\n", sigaction(1000, NULL, NULL));
    free(kept);
    return 7;
}
