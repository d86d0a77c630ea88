"""Where the program is."""

import os
import sys
import sysconfig
from typing import Iterator, List, Optional

NAME = "fil-profile"
LIBRARY = "libpreload.so"


def find() -> Optional[str]:
    """The program that belongs to this package or to the library in this process, else one that is on PATH."""
    for path in _candidates():
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def found() -> str:
    """As `find`, or a RuntimeError."""
    program = find()
    if program is None:
        raise RuntimeError("the program fil-profile is missing: it belongs to the package, or on PATH")
    return program


def _candidates() -> Iterator[str]:
    folder = os.path.dirname(os.path.abspath(__file__))
    yield os.path.join(folder, "bin", NAME)
    # The one that this process runs under: built by cargo, it is not in the package.
    for library in _loaded():
        beside = os.path.dirname(library)
        yield os.path.join(beside, NAME)
        yield os.path.join(beside, "..", "..", "bin", NAME)
    # A checkout.
    root = os.path.dirname(os.path.dirname(folder))
    yield os.path.join(root, "target", "release", NAME)
    # The environment's own is only a way to us.
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
    """The interpreter that jobs run with unless somebody says otherwise: this one, where it is that of an environment.

    A tool's own environment (of pipx, of `uv tool`) is nobody's to run jobs in, and an activated one goes before.
    """
    if os.environ.get("FIL_PROFILE_PYTHON") or os.environ.get("VIRTUAL_ENV"):
        return None
    is_tool = any(os.path.exists(os.path.join(sys.prefix, name)) for name in ("pipx_metadata.json", "uv-receipt.toml"))
    return None if is_tool else sys.executable
