// A library that takes malloc's place: nothing can be read right before a large block of its, so that whoever takes that for a header
// of glibc's ends with SIGSEGV.
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, LARGE = 16 << 10, HEADER = 16 };
static char small[256 << 20];
static size_t used;

static int is_small(const char *block) { return block >= small && block < small + sizeof small; }

// A small block has its size before it. A large one has it in a page before the page that cannot be read.
static size_t *size_of(char *block) { return (size_t *)(block - (is_small(block) ? HEADER : 2 * PAGE)); }

static size_t whole(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

void *malloc(size_t size) {
    char *block;
    if (size < LARGE) {
        size_t end = __atomic_add_fetch(&used, whole(size, HEADER) + HEADER, __ATOMIC_RELAXED);
        block = small + end - whole(size, HEADER);
        if (end > sizeof small)
            return errno = ENOMEM, NULL;
    } else {
        char *pages = mmap(NULL, whole(size, PAGE) + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED)
            return NULL;
        mprotect(pages + PAGE, PAGE, PROT_NONE);
        block = pages + 2 * PAGE;
    }
    *size_of(block) = size;
    return block;
}

void free(void *block) {
    if (block && !is_small(block))
        munmap((char *)block - 2 * PAGE, whole(*size_of(block), PAGE) + 2 * PAGE);
}

void *calloc(size_t count, size_t size) {
    size_t bytes;
    // All of it is new, and so zeros.
    return __builtin_mul_overflow(count, size, &bytes) ? (errno = ENOMEM, NULL) : malloc(bytes);
}

void *realloc(void *old, size_t size) {
    void *block = malloc(size);
    if (block && old) {
        memcpy(block, old, *size_of(old) < size ? *size_of(old) : size);
        free(old);
    }
    return block;
}

void *aligned_alloc(size_t alignment, size_t size) {
    // A large block begins with a page.
    return malloc(alignment <= HEADER ? size : size < LARGE ? LARGE : size);
}

void *memalign(size_t alignment, size_t size) { return aligned_alloc(alignment, size); }

int posix_memalign(void **block, size_t alignment, size_t size) {
    *block = aligned_alloc(alignment, size);
    return *block ? 0 : ENOMEM;
}
