"""Measures killed jobs: how far they came, and what their reports cost."""

import shutil
import signal
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import cgroup
from measure import Failed, environment, last_words, run
from tools import OURS, PLAIN, TOOLS, Tool, ours
from workloads import FOLDER

LIMIT = 300_000_000
STACKS = 100_000
NO_STASH = Tool(f"{OURS}-no-stash", ours("--stash", "0"))


def report_again(bench, out):
    """The command that writes the report of fil-profile again, so that it is measured without the job."""
    return [bench.ours, "-o", out, "--no-browser", "report"]


def with_report(tool):
    return replace(tool, report=report_again) if tool.name.startswith(OURS) else tool


def rows_reached(chosen, bench, rounds, bound, say):
    """Runs a program that appends rows until its cgroup is full. Returns the rows that it reaches, by tool."""
    tools = [tool for tool in TOOLS if tool.name in chosen]
    if OURS in chosen:
        tools.insert(2, NO_STASH)
    reached: dict[str, dict[str, Any]] = {tool.name: {"rounds": []} for tool in tools}
    for number in range(1, rounds + 1):
        for tool in tools:
            entry = reached[tool.name]
            if "failed" in entry:
                continue
            try:
                tool.check()
                end, out = fill(tool, bench, bound)
                entry["rounds"].append(end)
                if number == 1 and tool.name != PLAIN:
                    entry["report"] = report_of(with_report(tool), bench, out, bound)
            except Failed as failed:
                entry["failed"] = str(failed)
        say(f"rows until the kill {number}/{rounds}: " + ", ".join(f"{name} {said(e)}" for name, e in reached.items()))
    return reached


def said(entry):
    return f"FAILED: {entry['failed']}" if "failed" in entry else f"{median_rows(entry):.0f}"


def median_rows(entry):
    return median(end["rows"] for end in entry["rounds"])


def fill(tool, bench, bound):
    """Runs the program in a full cgroup. Returns the rows that it reached with its status, and the tool's folder."""
    out = fresh(bench)
    counter = bench.scratch / "rows"
    counter.write_bytes(bytes(8))
    script = [str(FOLDER / "rows_until_killed.py"), str(counter)]
    with cgroup.limited_to(LIMIT) as procs:
        cost = run(tool.command(bench, out, script), bench.scratch, bound, environment(), cgroup=procs)
    (rows,) = struct.unpack("<Q", counter.read_bytes())
    if rows == 0 or cost["status"] == 0:
        raise Failed(f"status {cost['status']} after {rows} rows: {last_words(bench.scratch / 'stderr')}")
    return {"rows": rows, "status": cost["status"]}, out


def many_stacks(chosen, bench, bound, say):
    """Measures the report of a killed job that held blocks from 100,000 different callstacks."""
    tools = [tool for tool in TOOLS if tool.name in chosen and tool.name != PLAIN and tool.name.startswith((OURS, "memray"))]
    reports = {}
    for tool in tools:
        out = fresh(bench)
        script = [str(FOLDER / "many_stacks.py"), str(STACKS)]
        try:
            cost = run(tool.command(bench, out, script), bench.scratch, bound, environment())
            if cost["status"] != -signal.SIGKILL:
                raise Failed(f"status {cost['status']}: {last_words(bench.scratch / 'stderr')}")
            report = report_of(with_report(tool), bench, out, bound)
            reports[tool.name] = {**report, "stacks": stacks_in(tool, bench, out)}
        except Failed as failed:
            reports[tool.name] = {"failed": str(failed)}
        say(f"report of {STACKS:,} stacks: {tool.name} {reports[tool.name]}")
    return reports


def stacks_in(tool, bench, out):
    """The number of different callstacks at the peak: for fil-profile the lines of its text report, for memray those in its data."""
    if tool.name.startswith(OURS):
        return len((out / "latest" / "peak-memory.prof").read_text().splitlines())
    counted = subprocess.run(
        [bench.python, Path(__file__).with_name("count_stacks.py"), out / "memray.bin"], stdout=subprocess.PIPE, text=True
    )
    return int(counted.stdout) if counted.returncode == 0 else None


def report_of(tool, bench, out, bound):
    if tool.report is None or not any(out.glob(tool.data)):
        return {"failed": "none of a killed program"}
    # fil-profile has written a report already. Without that one, a failure to write a new one is noticed.
    for page in out.glob("*/index.html"):
        page.unlink()
    cost = run(tool.report(bench, out), bench.scratch, bound, environment())
    if cost["status"] != 0:
        return {"failed": f"status {cost['status']}: {last_words(bench.scratch / 'stderr')}"}
    if tool.name.startswith(OURS) and not any(out.glob("*/index.html")):
        return {"failed": "no page was written"}
    return {"wall": cost["wall"], "max_rss": cost["max_rss"]}


def fresh(bench):
    shutil.rmtree(bench.scratch, ignore_errors=True)
    out = bench.scratch / "out"
    out.mkdir(parents=True)
    return out
