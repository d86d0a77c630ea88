"""Shows a flame graph in a notebook."""

import base64
import contextlib
import html
import json
import os
import re
import sys
from typing import Any, Dict, Iterator, Optional

from . import _report, _say

# Maximum height of a picture in a notebook, in pixels. A higher picture gets a scroll bar.
HIGHEST = 800


def show(folder: str, since: float) -> None:
    """Shows the flame graph of the report in `folder`, if it was written after `since`."""
    shown = bundle(folder, since)
    if shown is not None:
        put(shown)


def put(shown: Dict[str, Any]) -> None:
    """Shows the result of `bundle` below the cell that runs."""
    from IPython import display

    publish: Any = display.display
    with _copied():
        publish(shown, raw=True)


@contextlib.contextmanager
def _copied() -> Iterator[None]:
    """Makes the kernel copy its messages while this context is active.

    To send a large message without a copy, ZeroMQ first starts three threads. If there is no address space for their stacks, it aborts
    the process.
    """
    session: Any = getattr(_kernel(), "session", None)
    threshold = getattr(session, "copy_threshold", None)
    if threshold is None:
        yield
        return
    session.copy_threshold = sys.maxsize
    try:
        yield
    finally:
        session.copy_threshold = threshold


def _kernel() -> Any:
    import IPython

    ask: Any = IPython.get_ipython
    return getattr(ask(), "kernel", None)


def bundle(folder: str, since: float = 0.0) -> Optional[Dict[str, Any]]:
    """The flame graph of a report as Jupyter's display data: when memory ran out, else at the peak; None if there is none."""
    report = os.path.join(folder, "report.json")
    try:
        if os.stat(report).st_mtime < since - 1:
            return None
        with open(report, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    moment = found.get("moment") or {}
    ran_out = moment.get("name") not in (None, "peak")
    picture = os.path.join(folder, "out-of-memory.svg" if ran_out else "peak-memory.svg")
    page = _say.printable(os.path.join(folder, "index.html"))
    text = _say.printable(_text(found, ran_out))
    shown = {"text/plain": "{}\n{}".format(text, page)}
    try:
        with open(picture, "rb") as drawing:
            drawn = drawing.read()
    except OSError:
        return shown
    height = re.search(rb'<svg[^>]*\sheight="(\d+)', drawn)
    # Each picture needs its own frame: it contains a script, and ids that several pictures share.
    shown["text/html"] = (
        '<iframe src="data:image/svg+xml;base64,{}" style="width: 100%; height: {}px; border: 0"></iframe>'
        "<div>{}<br><code>{}</code></div>".format(
            base64.b64encode(drawn).decode(),
            min(int(height.group(1)) if height else HIGHEST, HIGHEST) + 10,
            html.escape(text),
            html.escape(page),
        )
    )
    return shown


def _text(report: Dict[str, Any], ran_out: bool) -> str:
    """One line that says what the flame graph shows."""
    moment = report.get("moment") or {}
    held = _report.size(moment.get("bytes") or 0)
    text = ("Memory when it ran out: " if ran_out else "Peak memory of the cell: ") + held
    culprit = report.get("culprit")
    if culprit and culprit["file"]:
        text += ", of which {:.1%} at {place}".format(culprit["share"], **culprit)
    return text + ". The report:"
