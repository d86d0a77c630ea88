// Holds memory of one kind, and says as JSON how much was asked for and how much of it was touched, in bytes; then lets the harness
// look until a file `go-on` is there.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define WRITES (PROT_READ | PROT_WRITE)

// Not static: kinds.py has this file as a library.
size_t asked, touched;

static char *checked(void *block) {
    if (block == MAP_FAILED || !block) {
        perror("cannot hold it");
        exit(77);
    }
    return block;
}

static char *map(size_t bytes, int access, int flags, int file) {
    return checked(mmap(NULL, bytes, access, flags, file, 0));
}

static char *anonymous(size_t mib) {
    return map(mib * MIB, WRITES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void touch(char *at, size_t mib) {
    memset(at, 1, mib * MIB);
}

static void *waits(void *arg) {
    char *deep = __builtin_alloca(4 * MIB);
    memset(deep, 1, 4 * MIB);
    pause();
    return deep + (size_t)arg;
}

static int file_in_memory(size_t mib) {
    int file = memfd_create("victim", 0);
    if (file < 0 || ftruncate(file, mib * MIB) != 0)
        exit(77);
    return file;
}

static int file_on_disk(size_t mib) {
    int file = open("data", O_RDWR | O_CREAT, 0600);
    char *some = calloc(1, MIB);
    for (size_t i = 0; i < mib; i++)
        if (write(file, some, MIB) != (ssize_t)MIB)
            exit(77);
    free(some);
    return file;
}

void hold(const char *what) {
    char *at;
    if (!strcmp(what, "malloc")) {
        touch(checked(malloc(100 * MIB)), 100);
        asked = touched = 100;
    } else if (!strcmp(what, "untouched")) {
        touch(checked(malloc(400 * MIB)), 50);
        asked = 400, touched = 50;
    } else if (!strcmp(what, "calloc")) {
        checked(calloc(1, 200 * MIB));
        asked = 200;
    } else if (!strcmp(what, "reserved")) {
        map(1000 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    } else if (!strcmp(what, "committed")) {
        at = map(1000 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
        for (size_t i = 0; i < 60; i++)
            if (mprotect(at + (100 + i) * MIB, MIB, WRITES) != 0)
                exit(77);
        touch(at + 100 * MIB, 40);
        asked = 60, touched = 40;
    } else if (!strcmp(what, "grown")) {
        at = checked(mremap(anonymous(20), 20 * MIB, 90 * MIB, MREMAP_MAYMOVE));
        touch(at, 90);
        asked = touched = 90;
    } else if (!strcmp(what, "moved")) {
        char *to = map(50 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        at = anonymous(50);
        touch(at, 50);
        checked(mremap(at, 50 * MIB, 50 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED, to));
        asked = touched = 50;
    } else if (!strcmp(what, "holes")) {
        at = anonymous(100);
        touch(at, 100);
        munmap(at + 10 * MIB, 20 * MIB);
        munmap(at + 90 * MIB, 10 * MIB);
        asked = touched = 70;
    } else if (!strcmp(what, "mapped_over")) {
        at = anonymous(80);
        touch(at, 80);
        checked(mmap(at + 20 * MIB, 30 * MIB, WRITES, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
        checked(mmap(at + 60 * MIB, 20 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
        asked = 60, touched = 30;
    } else if (!strcmp(what, "given_back")) {
        at = anonymous(100);
        touch(at, 100);
        madvise(at, 70 * MIB, MADV_DONTNEED);
        asked = 100, touched = 30;
    } else if (!strcmp(what, "removed")) {
        at = map(80 * MIB, WRITES, MAP_SHARED | MAP_ANONYMOUS, -1);
        touch(at, 80);
        if (madvise(at, 30 * MIB, MADV_REMOVE) != 0)
            exit(77);
        asked = 80, touched = 50;
    } else if (!strcmp(what, "lazily_freed")) {
        at = anonymous(60);
        touch(at, 60);
        // Still there, until the kernel needs it.
        madvise(at, 40 * MIB, MADV_FREE);
        asked = touched = 60;
    } else if (!strcmp(what, "dev_zero")) {
        at = map(64 * MIB, WRITES, MAP_PRIVATE, open("/dev/zero", O_RDWR));
        touch(at, 64);
        asked = touched = 64;
    } else if (!strcmp(what, "memfd")) {
        int file = file_in_memory(64);
        touch(map(64 * MIB, WRITES, MAP_SHARED, file), 64);
        // The same pages a second time.
        map(64 * MIB, WRITES, MAP_SHARED, file)[0] = 1;
        asked = touched = 64;
    } else if (!strcmp(what, "shm_open")) {
        char name[64];
        snprintf(name, sizeof name, "/fil-profile-victim-%d", getpid());
        int file = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (file < 0 || ftruncate(file, 48 * MIB) != 0)
            exit(77);
        shm_unlink(name);
        touch(map(48 * MIB, WRITES, MAP_SHARED, file), 48);
        asked = touched = 48;
    } else if (!strcmp(what, "sysv")) {
        int segment = shmget(IPC_PRIVATE, 56 * MIB, IPC_CREAT | 0600);
        at = segment < 0 ? NULL : shmat(segment, NULL, 0);
        shmctl(segment, IPC_RMID, NULL);
        touch(checked(at), 56);
        asked = touched = 56;
    } else if (!strcmp(what, "sysv_detached")) {
        int segment = shmget(IPC_PRIVATE, 56 * MIB, IPC_CREAT | 0600);
        at = checked(segment < 0 ? NULL : shmat(segment, NULL, 0));
        touch(at, 56);
        shmdt(at);
        shmctl(segment, IPC_RMID, NULL);
    } else if (!strcmp(what, "huge")) {
        touch(map(15 * MIB, WRITES, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1), 15);
        asked = touched = 16;
    } else if (!strcmp(what, "huge_shared")) {
        touch(map(16 * MIB, WRITES, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1), 10);
        asked = 16, touched = 10;
    } else if (!strcmp(what, "huge_file")) {
        // No flag of the mapping says that its pages are huge.
        int file = memfd_create("victim", MFD_HUGETLB);
        if (file < 0 || ftruncate(file, 16 * MIB) != 0)
            exit(77);
        touch(map(15 * MIB, WRITES, MAP_SHARED, file), 6);
        asked = 16, touched = 6;
    } else if (!strcmp(what, "thp")) {
        at = checked(aligned_alloc(2 * MIB, 128 * MIB));
        madvise(at, 128 * MIB, MADV_HUGEPAGE);
        touch(at, 64);
        asked = 128, touched = 64;
    } else if (!strcmp(what, "file_shared")) {
        at = map(40 * MIB, WRITES, MAP_SHARED, file_on_disk(40));
        touch(at, 40);
    } else if (!strcmp(what, "file_private")) {
        at = map(40 * MIB, WRITES, MAP_PRIVATE, file_on_disk(40));
        touch(at, 20);
        touched = 20;
    } else if (!strcmp(what, "file_read")) {
        at = map(40 * MIB, PROT_READ, MAP_PRIVATE, file_on_disk(40));
        size_t sum = 0;
        for (size_t i = 0; i < 40 * MIB; i += 4096)
            sum += at[i];
        if (sum)
            exit(77);
    } else if (!strcmp(what, "sbrk")) {
        touch(checked(sbrk(32 * MIB)), 32);
    } else if (!strcmp(what, "stacks")) {
        for (size_t i = 0; i < 8; i++) {
            pthread_t thread;
            if (pthread_create(&thread, NULL, waits, (void *)i) != 0)
                exit(77);
        }
        sleep(1);
    } else {
        exit(2);
    }
}

int main(int argc, char **argv) {
    hold(argc > 1 ? argv[1] : "");
    // What holds nothing leaves no recording.
    touch(checked(malloc(2 * MIB)), 2);
    asked += 2, touched += 2;
    printf("{\"asked\": %zu, \"touched\": %zu}\n", asked * MIB, touched * MIB);
    fflush(stdout);
    struct stat about;
    while (stat("go-on", &about) != 0)
        usleep(10000);
    return 0;
}
