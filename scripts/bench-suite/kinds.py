"""Measures what each tool reports for every kind of memory, and how much of real programs' memory the breakdown of fil-profile explains.

Writes the tables of docs/kinds-of-memory.md.
"""

import json
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from environment import ROOT, output_of
from measure import environment
from table import grid
from tools import TOOLS

MIB = 1 << 20
VICTIMS = ROOT / "tests" / "oom" / "victims"
PAGE = ROOT / "docs" / "kinds-of-memory.md"
READ_MEMRAY = Path(__file__).with_name("read_memray.py")
COMMANDS = {tool.name: tool.command for tool in TOOLS}
HEAD = ["memory", "requested", "touched", "fil-profile: requested", "resident", "memray", "Fil"]
LANGUAGES = {
    "c": ("native_openmp.c", "gcc", ["-fopenmp"]),
    "cpp": ("native_cpp.cpp", "g++", []),
    "fortran": ("native_fortran.f90", "gfortran", []),
    "openmp": ("native_openmp.c", "gcc", ["-fopenmp"]),
}
POOL = "ARROW_DEFAULT_MEMORY_POOL"
PRELOADED = Path("/usr/lib/x86_64-linux-gnu")
PACKAGES = [
    ("PyArrow, its mimalloc", "arrow", {POOL: "mimalloc"}),
    ("PyArrow, its jemalloc", "arrow", {POOL: "jemalloc"}),
    ("PyArrow, malloc", "arrow", {POOL: "system"}),
    ("PyArrow, its mimalloc, threads", "arrow_table", {POOL: "mimalloc"}),
    ("PyArrow, malloc, threads", "arrow_table", {POOL: "system"}),
    ("Polars", "polars", {}),
    ("numba, threads", "numba", {}),
    ("numexpr, threads", "numexpr", {}),
    ("OpenBLAS, threads", "blas", {}),
    ("RocksDB", "rocksdb", {}),
    ("small objects, jemalloc preloaded", "objects", {"LD_PRELOAD": str(PRELOADED / "libjemalloc.so.2")}),
    ("small objects, tcmalloc preloaded", "objects", {"LD_PRELOAD": str(PRELOADED / "libtcmalloc_minimal.so.4")}),
]
# Each program, with the module that it needs.
PROGRAMS = {"pandas": "pandas", "sklearn": "sklearn", "arrow": "pyarrow", "polars": "polars", "torch": "torch"}
NAMED = ["filprofiler", "memray", "numpy", "pyarrow", "polars", "numba", "numexpr", "rocksdict"]
LEDGER = ["MiB of", "resident", "call sites", "free in allocators", "libraries, files", "stacks", "fil-profile", "other"]
LEDGER += ["unexplained", "explained"]


@dataclass(frozen=True)
class Case:
    name: str
    victim: str
    arguments: list
    variables: dict = field(default_factory=dict)

    @property
    def script(self):
        return [VICTIMS / self.victim, *self.arguments]

    def line_of(self, marker):
        lines = (VICTIMS / self.victim).read_text().splitlines()
        return next(number for number, line in enumerate(lines, 1) if line.endswith(f"# {marker}"))


def cases(folder):
    native = library(folder, "kinds_of_memory.c", "gcc", ["-fno-builtin"])
    source = (VICTIMS / "kinds_of_memory.c").read_text()
    for kind in re.findall(r'strcmp\(what, "(\w+)"\)', source):
        yield Case(f"`{kind}`", "kinds.py", [native, kind])
    ways = [f"{way}={library(folder, *how)}" for way, how in LANGUAGES.items()]
    yield Case("", "languages.py", ways)
    for name, way, variables in PACKAGES:
        yield Case(name, "allocators.py", [way], variables)


def library(folder, source, compiler, flags):
    made = folder / f"{source}.so"
    command = [compiler, "-O1", "-g", "-shared", "-fPIC", "-pthread", *flags, "-o", made, VICTIMS / source]
    subprocess.run(command, check=True, cwd=folder)
    return made


@contextmanager
def huge_pages(count):
    """Reserves huge pages, if we may."""
    file = Path("/proc/sys/vm/nr_hugepages")
    before = file.read_text()
    try:
        file.write_text(str(int(before) + count))
    except OSError as error:
        print(f"without huge pages: {error}")
    try:
        yield
    finally:
        if file.read_text() != before:
            file.write_text(before)


def start(bench, tool, case, folder):
    """Starts a case under a tool, in its own folder."""
    command = [str(word) for word in COMMANDS[tool](bench, folder / "out", case.script)]
    variables = environment(PYTHONDONTWRITEBYTECODE="1", **case.variables)
    with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
        return subprocess.Popen(command, cwd=folder, env=variables, stdout=out, stderr=err)


def said(folder):
    """What the victim printed about the memory that it holds; empty if it has not printed anything."""
    lines = [line for line in (folder / "stdout").read_text().splitlines() if line.endswith("}")]
    return json.loads(lines[-1]) if lines else {}


def ours(bench, case, folder):
    """By marker: requested and touched bytes as the victim says, and both as fil-profile reports them. Empty if the victim failed."""
    process = start(bench, "fil-profile", case, folder)
    while process.poll() is None and not said(folder):
        time.sleep(0.01)
    run = folder / "out" / "latest"
    subprocess.run([bench.ours, "snapshot", run], capture_output=True)
    (folder / "go-on").touch()
    process.wait()
    snapshots = sorted(run.glob("snapshot-*/report.json"))
    sites = json.loads([run / "report.json", *snapshots][-1].read_text())["call_sites"]
    truth = said(folder)
    touched = truth.pop("touched", None)
    found = {}
    for marker, asked in truth.items():
        here = [site for site in sites if is_at(site, f"{case.victim}:{case.line_of(marker)}")]
        in_memory = [site["resident_bytes"] for site in here]
        # Without a snapshot, the last measurement was made earlier, or never.
        known = sum(in_memory) if snapshots and None not in in_memory else None
        found[marker] = (asked, asked if touched is None else touched, sum(site["bytes"] for site in here), known)
    return found


def is_at(site, place):
    """Whether the call site is at this line, or in a library that this line called."""
    return any(f"/{place} " in f"/{text} " for text in (f"{site['file']}:{site['line']}", site["caller"]))


def peer(bench, tool, case, folder):
    """What another tool reports at each line of the victim, called functions included; None if it did not run to the end."""
    (folder / "out").mkdir()
    (folder / "go-on").touch()
    status = start(bench, tool, case, folder).wait()
    return READERS[tool](bench, folder / "out", case.script[0]) if status == 0 else None


def by_memray(bench, out, victim):
    read = subprocess.run([bench.python, READ_MEMRAY, out / "memray.bin", victim], capture_output=True, check=True)
    return {int(line): held for line, held in json.loads(read.stdout).items()}


def by_fil(bench, out, victim):
    held: dict[int, float] = {}
    for stack in next(out.glob("*/peak-memory.prof")).read_text().splitlines():
        frames, _, number = stack.rpartition(" ")
        for line in set(re.findall(rf"(?:^|;){re.escape(str(victim))}:(\d+) ", frames)):
            held[int(line)] = held.get(int(line), 0) + int(number)
    return held


READERS = {"memray-python": by_memray, "fil": by_fil}


def figure(number, truth):
    """The figure in MiB, with its error if that is large."""
    if number is None:
        return "–"
    off = (number - truth) / MIB
    return f"{number / MIB:.1f}" + (f" **({off:+.1f})**" if abs(off) > 0.05 * truth / MIB + 0.5 else "")


def truths(bench, folder, say):
    rows = []
    for number, case in enumerate(cases(folder)):
        places = [folder / f"{number}-{tool}" for tool in ("ours", *READERS)]
        for place in places:
            place.mkdir()
        found = ours(bench, case, places[0])
        seen = [peer(bench, tool, case, place) for tool, place in zip(READERS, places[1:])]
        for marker, (asked, touched, requested, in_memory) in found.items():
            others = [None if by_line is None else by_line.get(case.line_of(marker), 0) for by_line in seen]
            row = [case.name or f"`{marker}`", f"{asked / MIB:.1f}", f"{touched / MIB:.1f}"]
            row += [figure(requested, asked), figure(in_memory, touched), *(figure(other, asked) for other in others)]
            rows.append(row)
            say(" | ".join(row))
        if not found:
            say(f"{case.name or case.victim} is not possible here: {(places[0] / 'stderr').read_text()[:200]}")
    return grid(HEAD, rows)


def ledgers(bench, folder, target, say):
    # PyTorch is too large to be installed here: it is used if this environment exists, as in the tests.
    torch = target / "oom" / "torch" / "bin" / "python"
    rows = []
    for name, module in PROGRAMS.items():
        python = torch if name == "torch" else bench.python
        version = output_of(python, "-c", f"import {module}; print({module}.__version__)") if python.exists() else ""
        if not version:
            say(f"{name} is not there")
            continue
        place = folder / name
        place.mkdir()
        start(replace(bench, python=python), "fil-profile", Case(name, f"program_{name}.py", []), place).wait()
        ledger = json.loads((place / "out" / "latest" / "report.json").read_text())["ledger"]
        mib: dict[str, float] = {}
        for line in ledger["lines"]:
            mib[line["group"]] = mib.get(line["group"], 0) + line["bytes"] / MIB
        cells = [f"{mib.pop(group, 0):.1f}" for group in ("held", "slack", "files", "stacks", "own")]
        cells += [f"{sum(mib.values()):.1f}", f"{ledger['unexplained_bytes'] / MIB:+.1f}", f"{ledger['explained']:.1%}"]
        rows.append([f"{name} {version}", f"{ledger['total_bytes'] / MIB:.1f}", *cells])
        say(" | ".join(rows[-1]))
    return grid(LEDGER, rows)


def write(bench, target, machine, say):
    """Runs everything, and replaces the tables on the page."""
    folder = target / "bench" / "kinds"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with huge_pages(8):
        parts = {"truths": truths(bench, folder, say)}
    parts["ledgers"] = ledgers(bench, folder, target, say)
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if name in NAMED)
    parts["versions"] = f"CPython {machine['python']}, Linux {machine['kernel']}, glibc {machine['glibc']}; {versions}."
    text = PAGE.read_text()
    for name, part in parts.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        text = before + begin + part + end + rest.partition(end)[2]
    PAGE.write_text(text)
