"""Finds the program `fil-profile`, and the Python that it runs jobs with."""

import os
import sys
import sysconfig
from typing import Iterator, List, Optional

NAME = "fil-profile"
LIBRARY = "libpreload.so"


def find() -> Optional[str]:
    """The path of the program: the one of this package, else the one beside the library in this process, else one on PATH."""
    for path in _candidates():
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def found() -> str:
    """Like `find`, but raises a RuntimeError if there is none."""
    program = find()
    if program is None:
        raise RuntimeError("cannot find the program fil-profile: it is part of the package, or must be on PATH")
    return program


def _candidates() -> Iterator[str]:
    folder = os.path.dirname(os.path.abspath(__file__))
    yield os.path.join(folder, "bin", NAME)
    # The program that started this process: if cargo built it, it is not in the package.
    for library in _loaded():
        beside = os.path.dirname(library)
        yield os.path.join(beside, NAME)
        yield os.path.join(beside, "..", "..", "bin", NAME)
    # In a checkout.
    root = os.path.dirname(os.path.dirname(folder))
    yield os.path.join(root, "target", "release", NAME)
    # Not the command `fil-profile` of this environment: it only starts this package.
    own = os.path.realpath(sysconfig.get_path("scripts") or "")
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if os.path.realpath(place) != own:
            yield os.path.join(place, NAME)


def _loaded() -> List[str]:
    try:
        with open("/proc/self/maps") as maps:
            paths = [line.split(None, 5)[5].strip() for line in maps if line.rstrip().endswith("/" + LIBRARY)]
    except (OSError, UnicodeDecodeError, IndexError):
        return []
    return sorted(set(paths))


def python() -> Optional[str]:
    """The interpreter for jobs: the one of this environment, or None if `fil-profile` is to choose.

    `fil-profile` chooses if the user has named an interpreter, if an environment is active, or if this environment belongs to one tool
    only (pipx, `uv tool`).
    """
    if os.environ.get("FIL_PROFILE_PYTHON") or os.environ.get("VIRTUAL_ENV"):
        return None
    is_tool = any(os.path.exists(os.path.join(sys.prefix, name)) for name in ("pipx_metadata.json", "uv-receipt.toml"))
    return None if is_tool else sys.executable
