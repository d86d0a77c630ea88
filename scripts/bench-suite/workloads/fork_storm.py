"""Processes: 2,000 children by fork, each with a little work and no exec."""

import os

from work import work


def storm(children):
    ended = 0
    for _ in range(children):
        pid = os.fork()
        if pid == 0:
            kept = [str(j) for j in range(1000)]
            os._exit(0 if len(kept) == 1000 else 1)
        ended += os.waitpid(pid, 0)[1] == 0
    return ended


work(storm, 2000)
