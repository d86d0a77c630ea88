"""A flame graph in a notebook."""

import base64
import contextlib
import html
import json
import os
import re
import sys
from typing import Any, Dict, Iterator, Optional

from . import _report, _say

# The highest that a picture stands in a notebook, in pixels; the rest is scrolled to.
HIGHEST = 800


def show(folder: str, since: float) -> None:
    """Shows the graph of a report that was written after `since`."""
    shown = bundle(folder, since)
    if shown is not None:
        put(shown)


def put(shown: Dict[str, Any]) -> None:
    """Puts it below the cell that runs."""
    from IPython import display

    publish: Any = display.display
    with _copied():
        publish(shown, raw=True)


@contextlib.contextmanager
def _copied() -> Iterator[None]:
    """Lets the kernel copy what it sends. To send a large message without a copy, ZeroMQ starts three threads first; where there is no
    address space for their stacks, it aborts the process."""
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
    """The graph of the moment that matters most, as Jupyter wants it; None if there is no such report."""
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
    # In a frame of its own: the picture brings a script, and ids that would meet those of the next one.
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
    """What the graph shows, in a line."""
    moment = report.get("moment") or {}
    held = _report.size(moment.get("bytes") or 0)
    text = ("Memory when it ran out: " if ran_out else "Peak memory of the cell: ") + held
    sites = _report.sites(report)
    if sites and sites[0]["file"]:
        text += ", of which {:.1%} at {file}:{line} ({function})".format(sites[0]["share"], **sites[0])
    return text + ". The report:"
