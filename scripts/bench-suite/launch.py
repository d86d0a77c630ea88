"""Runs one command and writes what it cost to a file. This process is so small that it does not change the figures.

A forked process inherits the high-water mark of its parent, so the benchmark itself must not be the parent.
Usage: launch.py RESULT STDOUT STDERR CGROUP COMMAND…, where CGROUP is a `cgroup.procs` to join, or empty.
"""

import json
import os
import sys
import time


def child(stdout, stderr, cgroup, command):
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(stdout, flags, 0o644), 1)
    os.dup2(os.open(stderr, flags, 0o644), 2)
    if cgroup:
        with open(cgroup, "w") as procs:
            procs.write(str(os.getpid()))
    os.execvp(command[0], command)


result, stdout, stderr, cgroup, *command = sys.argv[1:]
begin = time.perf_counter()
pid = os.fork()
if pid == 0:
    try:
        child(stdout, stderr, cgroup, command)
    except OSError as error:
        print(f"cannot run {command[0]}: {error}", file=sys.stderr)
    finally:
        os._exit(127)
# The usage includes all descendants for which their parents waited.
_, status, usage = os.wait4(pid, 0)
cost = {
    "wall": time.perf_counter() - begin,
    "user": usage.ru_utime,
    "system": usage.ru_stime,
    "max_rss": usage.ru_maxrss * 1024,
    "status": os.waitstatus_to_exitcode(status),
}
with open(result, "w") as file:
    json.dump(cost, file)
