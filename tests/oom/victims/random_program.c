// A random program that knows what it holds: it allocates, fills slowly, grows, frees, gives back, writes to private mappings of files and
// forks. The first argument is the seed, the second `all` if it fills all that it allocates, the third `killed` if it ends by SIGKILL. It
// prints how much it had touched at most, how much of that it had asked for, and the kernel's count of what was resident at most.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define MOST (400 * MIB)
#define BLOCKS 64

enum how { BY_MALLOC, BY_MMAP, OF_FILE };
static struct block {
    char *at;
    size_t size, touched;
    enum how how;
} blocks[BLOCKS];
static size_t count, held, touched, most_touched, held_then, highest;
static unsigned long long state;
static int fills_all;

static size_t below(size_t limit) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (state >> 33) % limit;
}

static char *checked(void *at) {
    if (!at || at == MAP_FAILED) {
        perror("cannot hold it");
        exit(77);
    }
    return at;
}

static void note(void) {
    if (held > highest)
        highest = held;
    if (touched > most_touched || (touched == most_touched && held > held_then))
        most_touched = touched, held_then = held;
}

static void fill(struct block *block) {
    static const size_t parts[] = {0, 0, 30, 100};
    size_t bytes = fills_all ? block->size : block->size / 100 * parts[below(4)];
    size_t pauses = (size_t[]){0, 3000, 30000}[below(3)];
    for (size_t at = block->touched; at < bytes; at += MIB) {
        size_t some = bytes - at < MIB ? bytes - at : MIB;
        memset(block->at + at, 1, some);
        for (volatile size_t pause = below(1 + pauses); pause > 0; pause--)
            ;
    }
    if (bytes > block->touched) {
        touched += bytes - block->touched;
        block->touched = bytes;
    }
    note();
}

static void add(char *at, size_t size, enum how how) {
    blocks[count] = (struct block){.at = checked(at), .size = size, .how = how};
    if (how != OF_FILE)
        held += size;
    note();
    fill(&blocks[count++]);
}

static void release(size_t which) {
    struct block *block = &blocks[which];
    if (block->how == BY_MALLOC)
        free(block->at);
    else
        munmap(block->at, block->size);
    if (block->how != OF_FILE)
        held -= block->size;
    touched -= block->touched;
    *block = blocks[--count];
}

static char *of_file(size_t size) {
    int file = open("data", O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, size) != 0)
        exit(77);
    unlink("data");
    char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    close(file);
    return at;
}

static void grow(struct block *block, size_t more) {
    size_t before = block->size;
    block->at = checked(realloc(block->at, before + more));
    block->size += more;
    held += more;
    note();
    fill(block);
}

static void step(void) {
    size_t size = (20 + below(140)) * MIB, what = below(10);
    if (what < 7 && (held + touched + size > MOST || count == BLOCKS))
        what = 7;
    switch (what) {
    case 0:
        return add(malloc(size), size, BY_MALLOC);
    case 1:
        return add(calloc(1, size), size, BY_MALLOC);
    case 2:
        return add(aligned_alloc(4096, size), size, BY_MALLOC);
    case 3:
        return add(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), size, BY_MMAP);
    case 4:
        return add(of_file(size), size, OF_FILE);
    case 5:
    case 6:
        for (size_t i = 0; i < count; i++)
            if (blocks[i].how == BY_MALLOC && blocks[i].touched == blocks[i].size)
                return grow(&blocks[i], size);
        return;
    case 7:
    case 8:
        if (count > 0)
            release(below(count));
        return;
    default: {
        size_t own = (1 + below(20)) * MIB;
        // What is told is the process that had the most in memory: that is to be this one.
        if (own > touched)
            own = 0;
        pid_t child = fork();
        if (child == 0) {
            memset(checked(malloc(own)), 1, own);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    }
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    state = strtoull(argv[1], NULL, 10) * 2654435761u + 1;
    fills_all = !strcmp(argv[2], "all");
    for (size_t steps = 4 + below(10); steps > 0; steps--)
        step();
    if (most_touched == 0) {
        fills_all = 1;
        add(malloc(50 * MIB), 50 * MIB, BY_MALLOC);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"touched\": %zu, \"requested\": %zu, \"highest\": %zu, \"most_resident\": %zu}\n", most_touched, held_then, highest,
           (size_t)usage.ru_maxrss * 1024);
    fflush(stdout);
    if (!strcmp(argv[3], "killed"))
        raise(SIGKILL);
    return 0;
}
