"""The tools under which workloads run: how each is called, where its data is, and how its report is written."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from measure import Failed

SNAPSHOT = Path(__file__).with_name("snapshot.py")


@dataclass(frozen=True)
class Bench:
    """Paths of the benchmark."""

    ours: Path
    python: Path
    inputs: Path
    scratch: Path


@dataclass(frozen=True)
class Tool:
    name: str
    # The command that runs a script with its arguments, and writes to the folder.
    command: Callable
    # The command that writes the report afterwards. Without one, the tool writes its report as the program ends.
    report: Optional[Callable] = None
    # The files in the folder from which the report is made.
    data: str = "**/*"
    colour: str = "#000"
    quick: bool = False

    def check(self):
        """Raises Failed if the tool cannot run here."""
        if self.name == "heaptrack" and not shutil.which("heaptrack"):
            raise Failed("it is not installed")


def ours(*options):
    return lambda bench, out, script: [
        bench.ours, "-o", out, "--no-browser", "--python", bench.python, *options, "run", *script
    ]  # fmt: skip


def python_with(*options):
    return lambda bench, out, script: [bench.python, *options, *script]


def memray(*options):
    return lambda bench, out, script: [
        bench.python, "-m", "memray", "run", "--quiet", *options, "-o", out / "memray.bin", *script
    ]  # fmt: skip


def memray_report(bench, out):
    return [bench.python, "-m", "memray", "flamegraph", "--force", "-o", out / "memray.html", out / "memray.bin"]


def fil(bench, out, script):
    return [bench.python, "-m", "filprofiler", "-o", out, "--no-browser", "run", *script]


def scalene(bench, out, script):
    program, *arguments = script
    return [bench.python, "-m", "scalene", "run", "-o", out / "scalene.json", program, "---", *arguments]


def tracemalloc(bench, out, script):
    return [bench.python, "-X", "tracemalloc=25", SNAPSHOT, "run", out / "snapshot", *script]


def tracemalloc_report(bench, out):
    return [bench.python, SNAPSHOT, "report", out / "snapshot", out / "report.txt"]


def heaptrack(bench, out, script):
    return ["heaptrack", "-o", out / "heaptrack", bench.python, *script]


def heaptrack_report(bench, out):
    data = sorted(str(path) for path in out.glob("heaptrack.*"))[0]
    return ["heaptrack_print", "-F", out / "stacks.txt", data]


PLAIN = "plain"
OURS = "fil-profile"
TOOLS = [
    Tool(PLAIN, python_with(), quick=True),
    Tool(OURS, ours(), data="**/profile.fil", colour="#c1121f", quick=True),
    Tool(f"{OURS}-exact", ours("--exact"), data="**/profile.fil", colour="#f4845f", quick=True),
    Tool("fil", fil, colour="#2a9d8f"),
    Tool("memray", memray(), memray_report, "*.bin", "#1d3557", quick=True),
    Tool("memray-python", memray("--trace-python-allocators"), memray_report, "*.bin", "#457b9d"),
    Tool("memray-native", memray("--native"), memray_report, "*.bin", "#8ecae6"),
    Tool("scalene", scalene, colour="#6a4c93"),
    Tool("tracemalloc", tracemalloc, tracemalloc_report, "snapshot", colour="#e9c46a"),
    Tool("heaptrack", heaptrack, heaptrack_report, "heaptrack.*", colour="#8d8d8d"),
]
