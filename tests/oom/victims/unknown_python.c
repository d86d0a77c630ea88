// Looks like a Python that nobody has heard of yet: the names are there, the inside is not.
#include <stdio.h>
#include <stdlib.h>

const char *Py_GetVersion(void) { return "3.99.0 (main) [GCC]"; }
const unsigned long Py_Version = 0x036300f0;
int _PyRuntime[4096];
int PyCode_Type[128];
static void no(void) { abort(); }
#define MUST_NOT_BE_CALLED(name) \
    void name(void) { no(); }
MUST_NOT_BE_CALLED(PyMem_GetAllocator)
MUST_NOT_BE_CALLED(PyMem_SetAllocator)
MUST_NOT_BE_CALLED(PyObject_GetArenaAllocator)
MUST_NOT_BE_CALLED(PyObject_SetArenaAllocator)
MUST_NOT_BE_CALLED(PyGILState_GetThisThreadState)
MUST_NOT_BE_CALLED(PyCode_Addr2Line)

int main(void) {
    char *held = malloc(30 << 20);
    held[0] = 1;
    puts("end");
    return 0;
}
