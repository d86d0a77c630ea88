"""tracemalloc as a tool: runs a program and keeps a snapshot from its end, or writes a report of such a snapshot.

Usage: python -X tracemalloc=FRAMES snapshot.py run SNAPSHOT SCRIPT ARGUMENTS…
       python snapshot.py report SNAPSHOT REPORT
"""

import os
import sys
import tracemalloc


def run(snapshot, script):
    import runpy

    sys.argv = script
    sys.path[0] = os.path.dirname(script[0])
    try:
        runpy.run_path(script[0], run_name="__main__")
    finally:
        tracemalloc.take_snapshot().dump(snapshot)


def report(snapshot, target):
    """Writes the ten largest callstacks, with their lines."""
    largest = tracemalloc.Snapshot.load(snapshot).statistics("traceback")[:10]
    with open(target, "w") as file:
        for entry in largest:
            print(entry, *entry.traceback.format(), sep="\n", file=file)


mode, snapshot, *rest = sys.argv[1:]
if mode == "run":
    run(snapshot, rest)
else:
    report(snapshot, *rest)
