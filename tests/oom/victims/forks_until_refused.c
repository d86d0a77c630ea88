// Forks until that is refused, and says how often it was granted and why it was not any more.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 500

int main(void) {
    pid_t children[MOST];
    int count = 0;
    while (count < MOST) {
        pid_t child = fork();
        if (child < 0)
            break;
        if (child == 0)
            for (;;)
                pause();
        children[count++] = child;
    }
    const char *why = count < MOST ? strerror(errno) : "enough";
    for (int index = 0; index < count; index++) {
        kill(children[index], SIGKILL);
        waitpid(children[index], NULL, 0);
    }
    printf("%d forks, %s\n", count, why);
    return 6;
}
