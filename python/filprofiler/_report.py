"""Writes the report of a part of a run: the library writes a copy of the recording into a folder, and the program writes the report."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any, Dict, List, Optional

from . import _folder, _library, _program
from ._version import __version__


def prepare(path: str) -> str:
    """Makes the folder for a report. Raises an OSError or ValueError if that is not possible, before the program's code runs."""
    folder = os.path.abspath(os.fspath(path))
    _folder.check_links(folder)
    os.makedirs(folder, exist_ok=True)
    _folder.check(folder)
    return folder


def write(folder: str, what: int, view: Optional[Dict[str, Any]] = None, began: Optional[float] = None) -> Dict[str, Any]:
    """Writes the report of a window (by its number), of `ALL` or of `NOW`, and returns the content of `report.json`."""
    library = _library.loaded()
    # Before anything else: allocations of the code below must not be in the recording.
    recording = os.path.join(folder, "{}-0.recording".format(os.getpid()))
    new = "{}.{}.new".format(recording, threading.get_ident())
    _folder.remove(new)
    library.write(new, what)
    try:
        _folder.check(folder)
        _folder.begin(folder)
        os.replace(new, recording)
    finally:
        _folder.remove(new)
    program = _program.found()
    now = time.time()
    run = {
        "format": 1,
        "version": __version__,
        "command": list(sys.argv),
        "directory": _directory(),
        "host": socket.gethostname(),
        "started": _timestamp(began or now),
        "outcome": {"kind": "finished", "certainty": "certain", "sentence": ""},
        "report_written": True,
    }
    _put(os.path.join(folder, _folder.VIEW), view or {})
    _put(os.path.join(folder, _folder.RUN), run)
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    environment["FIL_PROFILE_NO_BROWSER"] = "1"
    if what != _library.ALL:
        # Variables hold what was allocated at any time, and this report is about a part of the run.
        environment["FIL_PROFILE_NO_HOLDERS"] = "1"
    drawn = subprocess.Popen(
        [program, "report", "--made-here", folder],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _, said = drawn.communicate()
    if drawn.returncode != 0:
        raise RuntimeError("the report could not be written: " + said.decode("utf-8", "replace").strip())
    with open(os.path.join(folder, "report.json"), encoding="utf-8") as file:
        report = json.load(file)
    assert isinstance(report, dict)
    return report


def _put(path: str, content: Dict[str, Any]) -> None:
    """Writes a JSON file. If `path` is a link, the file replaces the link and not its target."""
    new = "{}.{}.{}.new".format(path, os.getpid(), threading.get_ident())
    _folder.remove(new)
    with open(new, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        json.dump(content, file, indent=2)
    os.replace(new, path)


def sites(report: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The call sites in `report.json`, the largest first."""
    return list(report.get("call_sites") or [])


def size(count: int) -> str:
    """The size as text, in the form of the reports: 1.2 GiB."""
    number = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1024 or unit == "TiB":
            break
        number /= 1024
    return "{:.0f} {}".format(number, unit) if unit == "B" else "{:.1f} {}".format(number, unit)


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "/"


def _timestamp(moment: float) -> str:
    local = time.localtime(moment)
    zone = time.strftime("%z", local)
    return time.strftime("%Y-%m-%dT%H:%M:%S", local) + zone[:3] + ":" + zone[3:]
