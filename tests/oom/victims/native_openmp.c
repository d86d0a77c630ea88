// Each of four threads of OpenMP keeps a block; without Python in any but the first.
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static char *kept[4];

void *make(size_t bytes) {
    char *block = malloc(bytes);
    memset(block, 1, bytes);
    return block;
}

void make_openmp(size_t bytes) {
#pragma omp parallel num_threads(4)
    kept[omp_get_thread_num()] = make(bytes);
}
