"""Runs a program of pyperformance once in this process, with a fixed number of loops."""

import contextlib
import io
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

from work import work


def run(script, options):
    sys.argv = [str(script), "--worker", "--values=1", "--warmups=0", *options]
    sys.path.insert(0, str(script.parent))
    with contextlib.redirect_stdout(io.StringIO()):
        runpy.run_path(str(script), run_name="__main__")
    return script.parent.name


# The folder, the loops, and the program's own arguments.
folder, loops, *own = sys.argv[1:]
benchmarks = Path(find_spec("pyperformance").origin).parent / "data-files" / "benchmarks"
work(run, benchmarks / folder / "run_benchmark.py", [f"--loops={loops}", *own])
