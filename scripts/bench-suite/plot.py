"""Draws the results: one line for each workload, one dot for each tool, on a logarithmic axis of the ratio."""

import math
from html import escape

import figures
from tools import OURS, TOOLS

FIGURES = list(figures.RATIOS)
LEFT, RIGHT, TOP, BOTTOM, STEP = 260, 40, 110, 40, 22
WIDTH = 1100
LABELS = [0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000]


def svg(results, figure):
    workloads = results["workloads"]
    tools = [tool for tool in TOOLS if tool.name in figures.tools_of(results)]
    ratios = {
        (name, tool.name): figures.ratio_to_plain(workload["tools"], tool.name, figure)
        for name, workload in workloads.items()
        for tool in tools
        if tool.name in workload["tools"]
    }
    found = [each for each in ratios.values() if each]
    shown = [name for name in workloads if any(ratios.get((name, tool.name)) for tool in tools)]
    axis = Axis(min([0.85, *(r.low for r in found)]), max([2.0, *(r.high for r in found)]))
    height = TOP + STEP * len(shown) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        text(LEFT, 26, f"{figures.RATIOS[figure][0]}: how many times as much as without any tool", size=17),
        text(LEFT, 46, f"median of {results['rounds']} rounds; the bar goes from the least to the greatest ratio", "#555"),
        *legend(tools),
        *axis.lines(height - BOTTOM),
    ]
    for row, name in enumerate(shown):
        y = TOP + STEP * row + STEP / 2
        if row % 2 == 0:
            parts.append(f'<rect x="0" y="{y - STEP / 2}" width="{WIDTH}" height="{STEP}" fill="#000" opacity="0.04"/>')
        parts.append(text(LEFT - 12, y + 5, name, anchor="end"))
        # fil-profile last, so that no other dot covers it.
        for tool in sorted(tools, key=lambda tool: tool.name == OURS):
            if ratio := ratios.get((name, tool.name)):
                parts += dot(axis, y, ratio, tool)
    return "\n".join([*parts, "</svg>"]) + "\n"


class Axis:
    """The position of a ratio in the picture."""

    def __init__(self, low, high):
        self.low, self.span = math.log(low), math.log(high * 1.05) - math.log(low)

    def x(self, ratio):
        return round(LEFT + (math.log(ratio) - self.low) / self.span * (WIDTH - LEFT - RIGHT), 1)

    def lines(self, bottom):
        drawn: list[float] = []
        # The most important labels first; a label that would overlap another one is left out.
        for label in sorted(LABELS, key=lambda label: (label != 1, label % 1 != 0, label)):
            x = self.x(label)
            if LEFT <= x <= WIDTH - RIGHT and all(abs(x - other) > 34 for other in drawn):
                drawn.append(x)
                strong = 'stroke="#000"' if label == 1 else 'stroke="#ccc"'
                yield f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}" {strong}/>'
                yield text(x, TOP - 6, f"{label:g}×", "#555", anchor="middle", size=11)
                yield text(x, bottom + 16, f"{label:g}×", "#555", anchor="middle", size=11)


def legend(tools):
    x = 40
    for tool in tools:
        yield f'<circle cx="{x}" cy="70" r="5" fill="{tool.colour}"/>'
        yield text(x + 9, 75, tool.name, size=12)
        x += 30 + 7 * len(tool.name)


def dot(axis, y, ratio, tool):
    colour, title = tool.colour, f"<title>{escape(tool.name)} {ratio.value:.2f}</title>"
    yield f'<line x1="{axis.x(ratio.low)}" x2="{axis.x(ratio.high)}" y1="{y}" y2="{y}" stroke="{colour}" opacity="0.6"/>'
    yield f'<circle cx="{axis.x(ratio.value)}" cy="{y}" r="5" fill="{colour}" stroke="white">{title}</circle>'


def text(x, y, words, colour="#000", anchor="start", size=13):
    return f'<text x="{x}" y="{y}" fill="{colour}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'
