"""The results as Markdown."""

from typing import Any

import figures
from killed import median_rows
from ratios import median_and_worst
from tools import PLAIN


def markdown(results):
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    parts = [
        "# What fil-profile costs, program by program",
        f"`{results['command']}`: {machine['fil_profile']} ({machine['commit']}), CPython {machine['python']}, "
        f"Linux {machine['kernel']}, glibc {machine['glibc']}, {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_bytes'] / (1 << 30):.0f} GiB. {versions}.",
        f"Ratios of the medians of {results['rounds']} rounds to the same program alone. In brackets are the least and the "
        "greatest ratio within one round. A dash means that there is nothing to compare. Tools other than fil-profile record "
        "only the first process, as they do by default.",
    ]
    if results["workloads"]:
        tools = figures.tools_of(results)
        parts += groups(results, tools)
        for figure, (title, _) in figures.RATIOS.items():
            parts += section(f"{title}, ratio to plain", results, tools, ratio_cell(figure))
        parts += section("Wall time of program and report, ratio to plain, and MiB that they took", results, tools, until_cell)
        parts += section("Largest resident set, MiB", results, [PLAIN, *tools], number(figures.resident))
        parts += section("All processes together, MiB", results, [PLAIN, *tools], number(figures.all_processes))
        parts += section("Recorded data on disk, MiB", results, tools, number(figures.data_on_disk))
        parts += start_up(results, tools)
        parts += failures(results)
    parts += killed(results["killed"])
    return "\n\n".join(parts) + "\n"


def grid(head, rows):
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def section(title, results, tools, cell):
    rows = []
    for name, workload in results["workloads"].items():
        cells = [cell(workload["tools"], tool) if tool in workload["tools"] else "–" for tool in tools]
        if any(text != "–" and text != "failed" for text in cells):
            rows.append([name, *cells])
    return [f"## {title}", grid(["", *tools], rows)] if rows else []


def or_failed(entry, text):
    return "failed" if "failed" in entry else text


def ratio_cell(figure):
    def cell(tools, tool):
        ratio = figures.ratio_to_plain(tools, tool, figure)
        text = f"{ratio.value:.2f} ({ratio.low:.2f}–{ratio.high:.2f})" if ratio else "–"
        return or_failed(tools[tool], text)

    return cell


def until_cell(tools, tool):
    found = figures.until_report(tools, tool)
    report = figures.report_of(tools[tool]) or {}
    text = f"{found[0]:.2f}, {found[1]:.0f}" if found else "no report" if "failed" in report else "–"
    return or_failed(tools[tool], text)


def number(take):
    def cell(tools, tool):
        value = take(tools[tool])
        return or_failed(tools[tool], "–" if value is None else f"{value:.1f}")

    return cell


def groups(results, tools):
    by_group: dict[str, list[Any]] = {}
    for workload in results["workloads"].values():
        by_group.setdefault(workload["group"], []).append(workload["tools"])
    parts = []
    for figure in ("work-wall", "whole-wall"):
        rows = []
        for group, members in by_group.items():
            cells = []
            for tool in tools:
                ran = [member for member in members if tool in member]
                found = median_and_worst([figures.ratio_to_plain(member, tool, figure) for member in ran])
                failed = sum("failed" in member[tool] for member in ran)
                text = f"{found[0]:.2f} / {found[1]:.2f}" if found else "–"
                cells.append(text + (f", {failed} failed" if failed else ""))
            rows.append([group, *cells])
        parts += [f"## {figures.RATIOS[figure][0]}: median / worst of each group", grid(["", *tools], rows)]
    return parts


def start_up(results, tools):
    if "empty" not in results["workloads"]:
        return []
    entries = results["workloads"]["empty"]["tools"]
    found = {tool: figures.milliseconds_on_top(entries, tool) for tool in tools if tool in entries}
    cells = ["failed" if value is None else f"{value:.0f}" for value in found.values()]
    return ["## An empty program, milliseconds on top of plain", grid(["", *found], [["start and end", *cells]])]


def failures(results):
    lines = []
    for name, workload in results["workloads"].items():
        for tool, entry in workload["tools"].items():
            report = {} if "failed" in entry else figures.report_of(entry) or {}
            if reason := entry.get("failed") or report.get("failed"):
                what = "" if "failed" in entry else " its report"
                lines.append(f"- {name}, {tool}{what}: {reason}")
    return ["## What failed", "\n".join(lines)] if lines else []


def killed(measured):
    parts = []
    if reached := measured.get("rows_until_killed"):
        parts.append("## A killed job: the rows that it reached in a memory cgroup of 300 MB")
        parts.append(f"Not measured: {reached['failed']}." if "failed" in reached else rows_grid(reached))
    if reports := measured.get("many_stacks"):
        parts.append("## The report of a killed job that held blocks from 100,000 callstacks")
        rows = [[tool, count(report.get("stacks")), *report_cells(report)] for tool, report in reports.items()]
        parts.append(grid(["", "callstacks in it", "seconds", "MiB"], rows))
    return parts


def rows_grid(reached):
    plain = median_rows(reached[PLAIN]) if reached.get(PLAIN, {}).get("rounds") else None
    rows = []
    for tool, entry in reached.items():
        if "failed" in entry:
            rows.append([tool, "failed: " + in_a_cell(entry["failed"]), *["–"] * 4])
            continue
        share = f"{median_rows(entry) / plain:.1%}" if plain else "–"
        rows.append([tool, count(median_rows(entry)), share, ended_by(entry), *report_cells(entry.get("report"))])
    return grid(["", "rows", "of plain", "ended by", "report, seconds", "report, MiB"], rows)


def ended_by(entry):
    """How the program ended: a tool can end it before the kernel does."""
    statuses = sorted({end["status"] for end in entry["rounds"]})
    return ", ".join(f"signal {-status}" if status < 0 else f"status {status}" for status in statuses)


def count(number):
    return "–" if number is None else f"{number:,.0f}"


def report_cells(report):
    if report is None:
        return ["–", "–"]
    if "failed" in report:
        return ["failed: " + in_a_cell(report["failed"]), "–"]
    return [f"{report['wall']:.2f}", f"{report['max_rss'] / figures.MIB:.0f}"]


def in_a_cell(words):
    return words.replace("|", "\\|")
