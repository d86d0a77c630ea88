"""Computes the figures of a workload under a tool from the measured costs."""

from statistics import median

from ratios import ratio
from tools import PLAIN

# The work is timed by the program itself. The whole includes start-up, and what the tool does at the end.
RATIOS = {
    "work-wall": ("The work, wall time", lambda cost: (cost["work"] or {}).get("seconds")),
    "work-user": ("The work, user CPU", lambda cost: (cost["work"] or {}).get("user")),
    "whole-wall": ("The whole program, wall time", lambda cost: cost["wall"]),
    "whole-user": ("The whole program, user CPU", lambda cost: cost["user"]),
}
MIB = 1 << 20


def ratio_to_plain(tools, tool, figure):
    """The ratio; None if one of the two has no figures, for example because the program has no work to time."""
    take = RATIOS[figure][1]
    series = [[take(cost) for cost in tools.get(name, {}).get("rounds", [])] for name in (tool, PLAIN)]
    watched, plain = series
    if "failed" in tools[tool] or None in watched + plain or len(watched) != len(plain):
        return None
    return ratio(watched, plain)


def middle(entry, take):
    """The median over the rounds."""
    values = [take(cost) for cost in entry.get("rounds", [])]
    return None if "failed" in entry or not values else median(values)


def milliseconds_on_top(tools, tool):
    both = [middle(tools[name], lambda cost: cost["wall"]) for name in (tool, PLAIN)]
    return None if None in both else (both[0] - both[1]) * 1000


def resident(entry):
    return middle(entry, lambda cost: cost["max_rss"] / MIB)


def all_processes(entry):
    return entry["tree_pss"] / MIB if entry.get("tree_pss") and "failed" not in entry else None


def data_on_disk(entry):
    return middle(entry, lambda cost: cost["data_bytes"] / MIB)


def report_of(entry):
    """The cost of the report. It is written only after the last round, because it can take long."""
    return entry["rounds"][-1].get("report") if entry.get("rounds") and "failed" not in entry else None


def until_report(tools, tool):
    """The time of program and report as a ratio to the program alone, and the larger of their two resident sets."""
    entry, plain = tools[tool], middle(tools[PLAIN], lambda cost: cost["wall"])
    report = report_of(entry)
    if not report or "failed" in report or not plain:
        return None
    whole = middle(entry, lambda cost: cost["wall"]) + report["wall"]
    return whole / plain, max(resident(entry), report["max_rss"] / MIB)


def tools_of(results):
    """The tools that were run, in that order."""
    seen = {}
    for workload in results["workloads"].values():
        seen.update(dict.fromkeys(workload["tools"]))
    return [tool for tool in seen if tool != PLAIN]
