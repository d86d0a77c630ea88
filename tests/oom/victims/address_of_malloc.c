// Keeps 32 MiB of small blocks, which it gets through the address of malloc: built as a program with a fixed address, as Debian builds
// its Python, its own symbol table then has an address for malloc.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *(*volatile get)(size_t) = malloc;
static void *kept[512];

int main(void) {
    for (int i = 0; i < 512; i++) {
        kept[i] = get(64 << 10);
        memset(kept[i], 1, 64 << 10);
    }
    puts("{}");
    fflush(stdout);
    while (access("go-on", F_OK) != 0)
        usleep(1000);
    return kept[511] == NULL;
}
