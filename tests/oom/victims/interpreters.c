// How C code uses Python, for ctypes: a thread that keeps its state, and an interpreter of its own. No headers: what is used is the
// same in every version.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct state state;
extern state *PyThreadState_Get(void);
extern state *PyThreadState_Swap(state *);
extern state *Py_NewInterpreter(void);
extern void Py_EndInterpreter(state *);
extern state *PyEval_SaveThread(void);
extern void PyEval_RestoreThread(state *);
extern int PyRun_SimpleString(const char *);
extern int PyGILState_Ensure(void);
extern void PyGILState_Release(int);

static void *fill(size_t bytes) {
    void *block = malloc(bytes);
    if (block) memset(block, 1, bytes);
    return block;
}

// As servers that embed Python do it. To be called with the lock of the interpreter.
int in_new_interpreter(const char *code) {
    state *before = PyThreadState_Get();
    state *inside = Py_NewInterpreter();
    int failed = PyRun_SimpleString(code);
    Py_EndInterpreter(inside);
    PyThreadState_Swap(before);
    return failed;
}

static size_t bytes_of_thread;
static void (*call)(void);

static void *work(void *ignored) {
    int before = PyGILState_Ensure();
    call();
    state *own = PyEval_SaveThread();
    void *block = fill(bytes_of_thread);
    PyEval_RestoreThread(own);
    PyGILState_Release(before);
    return block;
}

// A thread that has called Python and keeps its state while it works without Python; without the lock of the interpreter, which that thread takes.
void *in_thread_with_state(void (*callback)(void), size_t bytes) {
    pthread_t thread;
    void *block = NULL;
    call = callback;
    bytes_of_thread = bytes;
    if (pthread_create(&thread, NULL, work, NULL) == 0) pthread_join(thread, &block);
    return block;
}
