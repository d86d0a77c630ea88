"""Draws what fil-profile costs as a job grows: one row for each curve of the scale tests, one column for each
measure."""

import os
import re
import subprocess
from typing import Any

from plot import text

# Columns that the tests print, with the promised maximum for an ordinary job.
MEASURES = {
    "cpu ×": None,
    "µs/sample": None,
    "resident MiB": 22,
    "recording MiB": 8,
    "report s": None,
    "report MiB": 30,
}
LEFT, TOP, CELL, ROW, GAP = 24, 64, 190, 140, 26
# Up to this number of points, there is room for the name below each point and the value above it.
ROOMY = 5


def curves(lines):
    """The curves by name, in the order of the output: each is a list of points, and a point is a dict of the cells of its line."""
    found: dict[str, Any] = {}
    before, points, columns = "", None, []
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| point"):
            columns, points = cells, found.setdefault(before, [])
        elif line.startswith("|") and points is not None and len(cells) == len(columns):
            points.append(dict(zip(columns, cells)))
        else:
            # If only one test runs, its name stands before its first output.
            before = re.sub(r"^test \S+ \.\.\. ", "", line.strip())
    return {name: sorted(points, key=lambda point: numbers(point["point"])) for name, points in found.items()}


def numbers(words):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", words.replace("_", ""))]


def svg(found):
    width, height = LEFT + len(MEASURES) * CELL + 20, TOP + ROW * len(found)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">'
    )
    yield f'<rect width="{width}" height="{height}" fill="white"/>'
    yield text(LEFT, 26, "What it takes to watch a job, as the job grows", size=17)
    yield text(LEFT, 46, "dashed: what is promised for an ordinary job", "#555", size=12)
    for row, (name, points) in enumerate(found.items()):
        top = TOP + ROW * row
        yield text(LEFT, top + 14, name, size=13)
        for column, measure in enumerate(MEASURES):
            yield from panel(LEFT + CELL * column, top + GAP, points, measure)
    yield "</svg>\n"


def panel(left, top, points, measure):
    """Draws one curve with its points at equal distances; the axis begins at zero."""
    width, height = CELL - 40, ROW - GAP - 62
    values = [float(point[measure]) for point in points]
    ceiling = MEASURES[measure]
    most = max([1e-9, *values]) * 1.15

    def place(number, value):
        step = width / max(1, len(points) - 1)
        return f"{left + 4 + step * number:.1f},{top + 22 + height * (1 - max(0, value) / most):.1f}"

    yield text(left, top + 8, measure, "#555", size=10)
    bottom = top + 22 + height
    yield f'<path d="M{left} {bottom}H{left + width + 8}" stroke="#999" fill="none"/>'
    if ceiling and ceiling < most:
        yield f'<path d="M{left} {place(0, ceiling).split(",")[1]}h{width + 8}" stroke="#c00" stroke-dasharray="4 3" fill="none"/>'
    line = " ".join(place(number, value) for number, value in enumerate(values))
    yield f'<polyline points="{line}" stroke="#0b6e99" stroke-width="1.5" fill="none"/>'
    roomy = len(points) <= ROOMY
    for number, (point, value) in enumerate(zip(points, values)):
        x, y = place(number, value).split(",")
        yield f'<circle cx="{x}" cy="{y}" r="2.5" fill="#0b6e99"/>'
        anchor = "middle" if number else "start"
        if roomy or number % 2 == 0:
            yield text(x, float(y) - 5, f"{value:g}", size=9, anchor=anchor)
        if roomy:
            yield text(x, bottom + 11, short(point["point"]), "#555", size=9, anchor=anchor)
        else:
            yield f'<g transform="rotate(-35 {x} {bottom + 8})">'
            yield text(x, bottom + 8, short(point["point"]), "#555", size=8, anchor="end")
            yield "</g>"


def short(point):
    """The number with separators between thousands."""
    units = [(1e6, "M"), (1e3, "k")]

    def of(number):
        for size, unit in units:
            if number >= size:
                return f"{number / size:.3g}{unit}"
        return f"{number:g}"

    return "×".join(of(number) for number in numbers(point))


def measure(root, say):
    """Runs the long form of the scale tests, and returns the picture."""
    command = ["cargo", "test", "-p", "oom", "--test", "scale", "--", "--nocapture", "--test-threads=1"]
    environment = {**os.environ, "OOM_TESTS_LONG": "1"}
    lines = []
    with subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as tests:
        for line in tests.stdout or ():
            lines.append(line)
            say(line.rstrip())
    if tests.returncode:
        raise SystemExit("the scale tests failed")
    return "\n".join(svg(curves(lines)))
