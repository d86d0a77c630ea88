"""Runs a program under tracemalloc and writes what a report would need when it has ended: its ten largest tracebacks.

Usage: python -X tracemalloc=FRAMES snapshot.py FILE SCRIPT ARGUMENTS…
"""

import runpy
import sys
import tracemalloc
from pathlib import Path

target, *sys.argv = sys.argv[1:]
sys.path[0] = str(Path(sys.argv[0]).parent)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    largest = tracemalloc.take_snapshot().statistics("traceback")[:10]
    Path(target).write_text("\n".join("\n".join([str(entry), *entry.traceback.format()]) for entry in largest))
