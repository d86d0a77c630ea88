"""What is known of this process now."""

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
CallSite.__doc__ = """A line that allocated what is held, with all its callers.

`file` is empty and `line` 0 for what no Python code asked for. `error_bytes` is one standard deviation of `bytes`, 0 where
every block was recorded. `caller` is, for a line of a library, the line of your own code that it was called for.
"""


def is_recording() -> bool:
    """Whether anything is recorded in this process now. Never an error."""
    library = _library.find()
    return library is not None and library.is_recording()


def current_bytes() -> int:
    """Bytes that this process holds now, by all that is recorded. Takes less than a microsecond.

    :raises RuntimeError: if nothing is recorded.
    """
    return int(_library.recording().current_bytes())


def peak_bytes() -> int:
    """The most that it held since the beginning or the last `reset_peak`. Takes less than a microsecond.

    :raises RuntimeError: if nothing is recorded.
    """
    return int(_library.recording().peak_bytes())


def reset_peak() -> None:
    """Begins anew to look for the peak. The report of the run keeps its own.

    :raises RuntimeError: if nothing is recorded.
    """
    _library.recording().reset_peak()


def top_call_sites(count: int = 10) -> List[CallSite]:
    """The lines whose allocations hold the most now, at most 200 of them. Starts a process, which takes some 20 ms.

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
    """One of `report.json`."""
    return CallSite(
        file=site.get("file") or "",
        line=site.get("line") or 0,
        function=site.get("function") or "",
        bytes=site.get("bytes") or 0,
        error_bytes=site.get("error_bytes") or 0,
        caller=site.get("caller"),
    )


def snapshot(path: str) -> None:
    """Writes a report of the run so far, with its peak, into the folder `path`. The program goes on.

    :raises RuntimeError: if nothing is recorded; :raises OSError: if the folder cannot be made.
    """
    _library.recording()
    _report.write(_report.prepare(path), _library.ALL)


def mark(name: str) -> None:
    """Begins a phase with this name: a mark on the timeline, and in the report the peak while it lasts.

    It lasts until the next mark; one with a name that was there before goes on with that phase. At most 64 names. Takes some
    microseconds.

    :raises RuntimeError: if nothing is recorded.
    """
    if not _library.recording().mark(name):
        warnings.warn("too many phases: {!r} is not told apart".format(name), RuntimeWarning, stacklevel=2)
