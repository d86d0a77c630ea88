"""Processes: 1,000 programs started one after the other, as a shell script does."""

import os

from work import work


def storm(children):
    ended = 0
    for _ in range(children):
        pid = os.posix_spawn("/bin/true", ["true"], os.environ)
        ended += os.waitpid(pid, 0)[1] == 0
    return ended


work(storm, 1000)
