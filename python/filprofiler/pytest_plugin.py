"""For pytest: `@pytest.mark.limit_memory("200 MB")` fails a test that holds more memory, and names the lines.

What a test holds is its highest total minus the total before it. Memory of fixtures does not count. The limit is checked only
if pytest runs under fil-profile: `fil-profile run -m pytest`.
"""

import re
import shutil
import tempfile
import warnings
from typing import Any, Generator, List, Optional

import pytest

from . import _library, _report, _say
from ._scope import Window

MARKER = "limit_memory(size): fail the test if it holds more at once, as in 200 MB or 1 GiB; checked under fil-profile"
UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", 1):
    UNITS.update({_letter: 1024**_power, _letter + "ib": 1024**_power, _letter + "b": 1000**_power})
# Number of call sites in the message.
LISTED = 5
# The attribute of a test that keeps the message.
FOUND = "_filprofiler_over_limit"


def parse_size(text: str) -> int:
    """The size in bytes. K, M, G and T, alone or with iB, are powers of 1024; with B alone, powers of 1000."""
    match = re.match(r"\s*(\d+(?:\.\d*)?)\s*([a-z]*)\s*$", str(text).lower())
    if match is None or match.group(2) not in UNITS:
        raise ValueError("write a size like 200 MB or 1 GiB, not {!r}".format(text))
    return int(float(match.group(1)) * UNITS[match.group(2)])


def pytest_configure(config: Any) -> None:
    config.addinivalue_line("markers", MARKER)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: Any) -> Generator[None, Any, None]:
    marker = item.get_closest_marker("limit_memory")
    if marker is None:
        yield
        return
    if len(marker.args) != 1 or marker.kwargs:
        raise ValueError('write the limit as in @pytest.mark.limit_memory("200 MB")')
    limit = parse_size(marker.args[0])
    if _library.find() is None:
        warnings.warn(pytest.PytestWarning("limit_memory is not checked: " + _library.MISSING), stacklevel=1)
        yield
        return
    window = Window()
    try:
        yield
        found = _over(window, limit)
    finally:
        window.close()
    if found is not None:
        setattr(item, FOUND, found)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Generator[None, Any, None]:
    outcome = yield
    found = getattr(item, FOUND, None)
    report = outcome.get_result()
    if found is not None and report.when == "call" and report.passed:
        report.outcome = "failed"
        report.longrepr = found


def _over(window: Window, limit: int) -> Optional[str]:
    """The message about a test that held more than the limit; None if it did not."""
    peak = window.peak_bytes()
    if 0 <= peak <= limit or not window.is_ours():
        return None
    if peak < 0:
        return "It is not known how much the test held: there was no memory to record it"
    lines = [
        "The test held {} at once; its limit is {}. Most of it at".format(_report.size(peak), _report.size(limit)),
    ]
    return "\n".join(lines + _own_lines(window))


def _own_lines(window: Window) -> List[str]:
    folder = tempfile.mkdtemp(prefix="fil-profile-")
    try:
        report = _report.write(folder, window.number, {}, window.began)
    except (OSError, RuntimeError, ValueError) as trouble:
        return ["  (the lines are not known: {})".format(_say.printable(trouble))]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    lines = []
    for line in (report.get("own_lines") or [])[:LISTED]:
        place = line["place"]
        if line["part"]:
            place += ", {} {}".format("from" if line["kind"] == "imports" else "in", line["part"])
        lines.append("{:7.1%} {:>10}  {}".format(line["share"], _report.size(line["bytes"]), _say.printable(place)))
    return lines
