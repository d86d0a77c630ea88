"""A memory cgroup for one command, of version 1 or 2, if this machine allows us to make one."""

import os
import time
from contextlib import contextmanager
from pathlib import Path

from measure import Failed


def hierarchy():
    """The root of the memory controller, and the name of the file with the limit."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        root = Path(before.split()[4])
        if kind == "cgroup" and "memory" in options.split(","):
            return root, "memory.limit_in_bytes"
        if kind == "cgroup2" and "memory" in (root / "cgroup.subtree_control").read_text().split():
            return root, "memory.max"
    raise Failed("there is no memory controller")


@contextmanager
def limited_to(limit):
    """Yields the file to which a process writes its pid to join the cgroup. Raises Failed if no cgroup can be made."""
    root, file = hierarchy()
    group = root / f"fil-profile-bench-{os.getpid()}"
    try:
        group.mkdir()
        (group / file).write_text(str(limit))
    except OSError as error:
        raise Failed(f"no cgroup can be made: {error.strerror}") from None
    try:
        yield group / "cgroup.procs"
    finally:
        remove(group)


def remove(group):
    """Removes the cgroup. The kernel needs a moment until killed processes have left it."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
