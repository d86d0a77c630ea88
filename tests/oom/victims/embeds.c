// A program with a Python in it: embeds FILE.
#include <stdio.h>

extern void Py_Initialize(void);
extern int PyRun_SimpleFile(FILE *, const char *);

int main(int count, char **words) {
    FILE *file = count == 2 ? fopen(words[1], "r") : NULL;
    if (!file) return 2;
    Py_Initialize();
    return PyRun_SimpleFile(file, words[1]) != 0;
}
