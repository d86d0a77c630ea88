// As many pairs of malloc and free as its argument says, for counting their instructions; 50 MiB are held meanwhile.
#include <stdlib.h>

int main(int argc, char **argv) {
    long pairs = argc == 2 ? atol(argv[1]) : 0;
    char *held = malloc(50 << 20);
    held[0] = 1;
    for (long i = 0; i < pairs; i++)
        free(malloc(64));
    free(held);
    return 0;
}
