/* Sets a filter of system calls that ends it at the first that opens, waits or looks around, allocates on, and ends with 7. */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FORBID(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static void lock_in(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        FORBID(SYS_openat),
        FORBID(SYS_open),
        FORBID(SYS_ftruncate),
        FORBID(SYS_fallocate),
        FORBID(SYS_pwrite64),
        FORBID(SYS_process_vm_readv),
        FORBID(SYS_execve),
        FORBID(SYS_clone),
        FORBID(SYS_vfork),
        FORBID(SYS_nanosleep),
        FORBID(SYS_socket),
        FORBID(SYS_stat),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
        exit(3);
}

int main(int argc, char **argv) {
    size_t before = argc > 1 ? atoi(argv[1]) : 0;
    char *first = malloc(before + 1);
    memset(first, 1, before + 1);
    lock_in();
    /* So many large blocks that their table has to grow. */
    char **kept = calloc(20000, sizeof *kept);
    for (int at = 0; at < 20000; at++) {
        kept[at] = malloc(70000);
        kept[at][0] = 1;
    }
    struct rlimit limit = {3000UL << 20, 3000UL << 20};
    setrlimit(RLIMIT_AS, &limit);
    void *refused = malloc(4000UL << 20);
    printf("%s\n", refused ? "granted" : "refused");
    for (int at = 0; at < 20000; at++)
        free(kept[at]);
    free(first);
    fflush(stdout);
    return 7;
}
