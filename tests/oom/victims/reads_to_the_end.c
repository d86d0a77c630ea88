// Holds 20 MiB until its stdin ends; then its status is 7.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
    char *held = malloc(20 << 20), byte;
    if (held == NULL)
        return 1;
    memset(held, 1, 20 << 20);
    while (read(0, &byte, 1) > 0) {
    }
    return held[0] == 1 ? 7 : 2;
}
