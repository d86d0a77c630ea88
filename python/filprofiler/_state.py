"""What is known about this process now."""

import shutil
import tempfile
import warnings
from typing import Any, Dict, List, NamedTuple, Optional

from . import _library, _report

CallSite = NamedTuple(
    "CallSite",
    [
        ("file", str),
        ("line", int),
        ("function", str),
        ("bytes", int),
        ("error_bytes", int),
        ("caller", Optional[str]),
    ],
)
CallSite.__doc__ = """A line of code, and the bytes that it allocated and that are still held, through all its callers.

For memory that no Python code asked for, `file` is empty and `line` is 0. `error_bytes` is one standard deviation of `bytes`, and 0 if
every block was recorded. If the line is in a library, `caller` is the line of your own code that called the library.
"""


def is_recording() -> bool:
    """Whether anything is recorded in this process now. Never raises an error."""
    library = _library.find()
    return library is not None and library.is_recording()


def current_bytes() -> int:
    """Bytes that this process holds now, as far as they are recorded. Takes less than a microsecond.

    :raises RuntimeError: if nothing is recorded.
    """
    return int(_library.recording().current_bytes())


def peak_bytes() -> int:
    """The highest number of bytes held since the start, or since the last `reset_peak`. Takes less than a microsecond.

    :raises RuntimeError: if nothing is recorded.
    """
    return int(_library.recording().peak_bytes())


def reset_peak() -> None:
    """Makes `peak_bytes` start again from now. The report of the run keeps its own peak.

    :raises RuntimeError: if nothing is recorded.
    """
    _library.recording().reset_peak()


def top_call_sites(count: int = 10) -> List[CallSite]:
    """The `count` lines that hold the most memory now, at most 200. Starts a process, which takes about 20 ms.

    :raises RuntimeError: if nothing is recorded.
    """
    _library.recording()
    folder = tempfile.mkdtemp(prefix="fil-profile-")
    try:
        report = _report.write(folder, _library.NOW)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return [call_site(site) for site in _report.sites(report)[: max(count, 0)]]


def call_site(site: Dict[str, Any]) -> CallSite:
    """Converts a call site from `report.json`."""
    return CallSite(
        file=site.get("file") or "",
        line=site.get("line") or 0,
        function=site.get("function") or "",
        bytes=site.get("bytes") or 0,
        error_bytes=site.get("error_bytes") or 0,
        caller=site.get("caller"),
    )


def snapshot(path: str) -> None:
    """Writes a report of the run so far, with its peak, into the folder `path`. The program continues.

    :raises RuntimeError: if nothing is recorded; :raises OSError: if the folder cannot be made.
    """
    _library.recording()
    _report.write(_report.prepare(path), _library.ALL)


def mark(name: str) -> None:
    """Begins a phase with this name. The report shows it on the timeline, and has the peak of the phase.

    The phase lasts until the next mark. A mark with the name of an earlier phase continues that phase. There can be at most 64 names. Takes
    a few microseconds.

    :raises RuntimeError: if nothing is recorded.
    """
    if not _library.recording().mark(name):
        warnings.warn("too many phases: {!r} is not recorded as a phase".format(name), RuntimeWarning, stacklevel=2)
