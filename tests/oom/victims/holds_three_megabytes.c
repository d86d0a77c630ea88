// Says something, holds a block that is worth a recording, and ends with 7.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    puts("out");
    fflush(stdout);
    char *block = malloc(3 << 20);
    if (!block)
        return 9;
    memset(block, 1, 3 << 20);
    return block[5] == 1 ? 7 : 8;
}
