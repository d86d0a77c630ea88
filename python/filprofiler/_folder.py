"""The folder for the report of a part of a run: which files in it a report may replace.

Hazard: the user may name a folder that has other files, and another user may have put a link in its place. So a report replaces files only
in a folder that an earlier report has claimed, and only files that a report makes.
"""

import ctypes
import errno
import json
import os
import re
import stat
from typing import Any, Dict, Optional, Set, Tuple

# Describes the run for the report.
RUN = "run.json"
# Says how the report is to show the recording.
VIEW = "view.json"
# Only the folder of a whole run has this file, while the run lasts.
LOCK = "lock"
# A report would be made from these files, too. A report of a part of a run does not write them.
OTHERS = ("profile.fil", "timeline.csv", "unrecorded.json")
# What a report writes, and what it is made from.
WRITTEN = re.compile(
    r"(run|view|report)\.json|index\.html|(peak-memory|out-of-memory|process-tree)(-reversed)?\.(svg|prof)|holders\.svg"
    r"|[0-9]+-0\.(recording|holders)"
)
# As many links as the kernel follows.
MOST_LINKS = 40

# Device, inode and birth of the folders in which this process has begun to write a report.
_begun: Set[Tuple[int, int, Optional[int]]] = set()


def check(folder: str) -> None:
    """Raises an OSError or ValueError if a report in this folder would replace or read what no report has made."""
    check_links(folder)
    if os.path.exists(os.path.join(folder, LOCK)) or _load_run(folder).get("supervisor"):
        raise ValueError("{} is the folder of a whole run: its report would be overwritten".format(folder))
    if os.stat(folder).st_uid != os.geteuid() != 0:
        raise PermissionError("{} belongs to another user".format(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError("cannot write to " + folder)
    is_ours = _is_ours(folder)
    for name in sorted(os.listdir(folder)):
        # A link is replaced, and its target stays.
        if os.path.islink(os.path.join(folder, name)):
            continue
        is_written = WRITTEN.fullmatch(name)
        is_read = name in OTHERS or name.endswith((".recording", ".measured", ".holders"))
        if (is_read and not is_written) or (is_written and not is_ours):
            raise ValueError("{} has a file that no report has made, {}: name another folder".format(folder, name))


def begin(folder: str) -> None:
    """Notes that what a report writes from now on in this folder is ours, also if the report fails. Removes earlier recordings."""
    _begun.add(_identity(folder))
    for name in os.listdir(folder):
        if name in OTHERS or name.endswith((".recording", ".measured", ".holders")):
            remove(os.path.join(folder, name))


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _is_ours(folder: str) -> bool:
    """Whether an earlier report has claimed this folder: `run.json` is the user's, and names the folder by its inode and birth."""
    identity = _identity(folder)
    if identity in _begun:
        return True
    about = os.lstat(os.path.join(folder, RUN)) if os.path.lexists(os.path.join(folder, RUN)) else None
    if about is None or about.st_uid != os.geteuid() or about.st_mode & 0o022:
        return False
    made_in = _load_run(folder).get("made_in")
    if not isinstance(made_in, dict):
        return False
    _, inode, birth = identity
    return made_in.get("inode") == inode and (birth is None or made_in.get("ns") == birth)


def _load_run(folder: str) -> Dict[str, Any]:
    """What `run.json` says, or nothing."""
    path = os.path.join(folder, RUN)
    try:
        # Opening a FIFO, for example, would wait.
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return {}
        with open(path, encoding="utf-8") as file:
            run = json.load(file)
    except (OSError, ValueError):
        return {}
    return run if isinstance(run, dict) else {}


def check_links(path: str) -> None:
    """Raises an error if another user's link is on the way, also behind a link of the user's."""
    at, parts, links = "/", path.split("/")[::-1], 0
    while parts:
        name = parts.pop()
        if name in ("", "."):
            continue
        if name == "..":
            at = os.path.dirname(at)
            continue
        new = os.path.join(at, name)
        if not os.path.islink(new):
            at = new
            continue
        if os.lstat(new).st_uid not in (0, os.geteuid()):
            raise PermissionError("{} is a link that another user has made".format(new))
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(new)
        at = "/" if target.startswith("/") else at
        parts.extend(target.split("/")[::-1])


def _identity(folder: str) -> Tuple[int, int, Optional[int]]:
    about = os.stat(folder)
    return about.st_dev, about.st_ino, _birth(folder)


def _birth(folder: str) -> Optional[int]:
    """When the inode was made, in nanoseconds since 1970; None where nobody knows. Python has no function for it: see statx(2)."""
    at_cwd, btime, size, at_mask, at_btime = -100, 0x800, 256, 0, 80
    about = ctypes.create_string_buffer(size)
    try:
        failed = ctypes.CDLL(None).statx(at_cwd, os.fsencode(folder), 0, btime, about)
    except AttributeError:
        # The C library is older than statx.
        return None
    known = int.from_bytes(about.raw[at_mask : at_mask + 4], "little")
    if failed or not known & btime:
        return None
    seconds = int.from_bytes(about.raw[at_btime : at_btime + 8], "little", signed=True)
    return seconds * 10**9 + int.from_bytes(about.raw[at_btime + 8 : at_btime + 12], "little")
