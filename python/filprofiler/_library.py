"""The C functions of the library that fil-profile has loaded into this process, called by ctypes."""

import ctypes
import os
from typing import Any, Optional

# The value that `fil_profile_version` must return.
VERSION = 1

# Arguments of `write` other than the number of a window: the run with its peak, or what is held now.
ALL = -1
NOW = -2

MISSING = (
    "this process does not run under fil-profile: start it with `fil-profile run script.py` "
    "(or with `fil-profile python script.py`, to record only the parts that it asks for)"
)
ASLEEP = (
    "nothing is recorded now: under `fil-profile python`, only the parts that filprofiler.profile runs are recorded; "
    "to record the whole program, start it with `fil-profile run`"
)

_found: Optional["Library"] = None


class Library:
    """The functions of the library; an error becomes an exception."""

    def __init__(self, functions: Any) -> None:
        # ctypes.PyDLL keeps the GIL during a call: the first call may hook Python's allocator, and the others take less time than
        # releasing the GIL.
        def function(name: str, result: Any, *arguments: Any) -> Any:
            function = functions["fil_profile_" + name]
            function.restype, function.argtypes = result, arguments
            return function

        self._is_recording = function("is_recording", ctypes.c_int)
        self.current_bytes = function("current_bytes", ctypes.c_uint64)
        self.peak_bytes = function("peak_bytes", ctypes.c_uint64)
        self.reset_peak = function("reset_peak", None)
        self._open = function("open", ctypes.c_int, ctypes.c_char_p)
        self.window_peak = function("window_peak", ctypes.c_int64, ctypes.c_int)
        self.close = function("close", None, ctypes.c_int)
        self._write = function("write", ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
        self._mark = function("mark", ctypes.c_int, ctypes.c_char_p)

    def is_recording(self) -> bool:
        return bool(self._is_recording())

    def open(self, folder: str) -> int:
        """Opens a window and returns its number. If recording begins with it, the recording goes into `folder`."""
        return _checked(self._open(os.fsencode(folder)), "cannot record this part")

    def write(self, path: str, what: int) -> None:
        """Writes a recording of a window (by its number), of `ALL` or of `NOW`."""
        _checked(self._write(os.fsencode(path), what), "cannot write " + path)

    def mark(self, name: str) -> bool:
        """Begins a phase; returns False if there are too many phases with different names."""
        return bool(self._mark(name.replace("\0", " ").encode("utf-8", "replace")) == 0)


def _checked(answer: int, what: str) -> int:
    if answer < 0:
        raise RuntimeError("{}: {}".format(what, os.strerror(-answer)))
    return answer


def find() -> Optional[Library]:
    """The library, or None if this process runs without it."""
    global _found
    if _found is None:
        functions = ctypes.PyDLL(None)
        try:
            version = int(functions["fil_profile_version"]())
        except AttributeError:
            return None
        if version != VERSION:
            raise RuntimeError("fil-profile and the package filprofiler are of different versions: install them together")
        _found = Library(functions)
    return _found


def loaded() -> Library:
    """The library, or a RuntimeError that says how to get it."""
    library = find()
    if library is None:
        raise RuntimeError(MISSING)
    return library


def recording() -> Library:
    """The library, or a RuntimeError if nothing is recorded now."""
    library = loaded()
    if not library.is_recording():
        raise RuntimeError(ASLEEP)
    return library
