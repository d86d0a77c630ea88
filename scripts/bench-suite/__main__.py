"""The benchmark: runs every workload under every tool, and writes what each cost. See `scripts/bench --help`."""

import argparse
import json
import os
import shlex
import signal
import sys
from pathlib import Path

import curves
import environment
import killed
import kinds
import plot
import table
from measure import Failed
from rounds import run_workload
from tools import PLAIN, TOOLS, Bench
from workloads import WORKLOADS

# Measurements of killed jobs, in addition to the workloads.
KILLED = {
    "rows_until_killed": "how many rows a program reaches in a memory cgroup of 300 MB",
    "many_stacks": "the report of a killed program with 100,000 callstacks",
}


def say(line):
    print(line, flush=True)


def names(known):
    """A parser for an argument that is a list of known names."""

    def parse(text):
        given = text.split(",")
        for name in given:
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no {name}: {', '.join(known)}")
        return given

    return parse


def parse(arguments):
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures what fil-profile and other profilers cost.")
    workloads = [workload.name for workload in WORKLOADS] + list(KILLED)
    parser.add_argument("--quick", action="store_true", help="the essential workloads and tools, in a few minutes")
    parser.add_argument("--workloads", type=names(workloads), metavar="A,B", help="only these workloads")
    tools = [tool.name for tool in TOOLS]
    parser.add_argument("--tools", type=names(tools), metavar="X,Y", help="only these tools, and the program alone (plain)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="number of rounds that count (5)")
    parser.add_argument("--bound", type=float, default=60, metavar="SECONDS", help="time after which a run counts as failed (60)")
    parser.add_argument("--python", default="python3", metavar="PATH", help="the Python for the workloads (python3)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the results (target/bench)")
    parser.add_argument("--continue", dest="again", action="store_true", help="keep earlier results, and measure only what is missing")
    parser.add_argument("--curves", action="store_true", help="instead: measure the cost as a job grows, by the scale tests")
    parser.add_argument("--kinds", action="store_true", help="instead: measure the tables of docs/kinds-of-memory.md")
    parser.add_argument("--list", action="store_true", help="list the workloads and tools, and run none")
    return parser.parse_args(arguments)


def show_list():
    for workload in WORKLOADS:
        print(f"{workload.name:28} {'quick' if workload.quick else '     '}  {workload.line}")
    for name, line in KILLED.items():
        print(f"{name:28} quick  {line}")
    print("\ntools: " + ", ".join(tool.name for tool in TOOLS))


def main():
    options = parse(sys.argv[1:])
    # SIGTERM ends the benchmark like Ctrl-C: the command that is being measured ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.list:
        return show_list()
    target = Path(os.environ.get("CARGO_TARGET_DIR", environment.ROOT / "target")).resolve()
    folder = (options.output or target / "bench").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (target / "bench").mkdir(exist_ok=True)
    if options.curves:
        (folder / "curves.svg").write_text(curves.measure(environment.ROOT, say))
        return say(f"written: {folder / 'curves.svg'}")

    python = environment.prepare(options.python, target / "bench", say)
    inputs = environment.inputs(python, target / "bench", say)
    bench = Bench(target / "release" / "fil-profile", python, inputs, folder / "scratch")
    if options.kinds:
        return kinds.write(bench, target, environment.machine(python, bench.ours), say)
    tools = [t for t in TOOLS if t.name == PLAIN or (t.name in options.tools if options.tools else t.quick or not options.quick)]
    chosen = options.workloads or [w.name for w in WORKLOADS if w.quick or not options.quick] + list(KILLED)

    file = folder / "results.json"
    results = {
        "machine": environment.machine(python, bench.ours),
        "command": shlex.join(["scripts/bench", *sys.argv[1:]]),
        "rounds": options.rounds,
        "workloads": {},
        "killed": {},
    }
    if options.again and file.exists():
        earlier = json.loads(file.read_text())
        for what, now in {**results["machine"], "rounds": options.rounds}.items():
            before = earlier["rounds"] if what == "rounds" else earlier["machine"].get(what)
            if before != now:
                sys.exit(f"cannot continue {file}: {what} was {before}, and is {now} now")
        results.update(workloads=earlier["workloads"], killed=earlier["killed"])

    def write():
        """Writes all results so far. Called after each workload, so that an interruption loses nothing."""
        new = file.with_suffix(".new")
        new.write_text(json.dumps(results, indent=1))
        new.replace(file)
        (folder / "results.md").write_text(table.markdown(results))
        for figure in plot.FIGURES:
            (folder / f"{figure}.svg").write_text(plot.svg(results, figure))

    for workload in WORKLOADS:
        if workload.name in chosen and workload.name not in results["workloads"]:
            measured = run_workload(workload, tools, bench, options.rounds, options.bound, say)
            results["workloads"][workload.name] = {"group": workload.group, "tools": measured}
            write()
    tool_names = [tool.name for tool in tools]
    for name in KILLED:
        if name in chosen and name not in results["killed"]:
            try:
                if name == "many_stacks":
                    measured = killed.many_stacks(tool_names, bench, options.bound, say)
                else:
                    measured = killed.rows_reached(tool_names, bench, options.rounds, options.bound, say)
            except Failed as failed:
                measured = {"failed": str(failed)}
            results["killed"][name] = measured
            write()
    say(f"written: {folder / 'results.md'}, results.json and the plots beside it")


if __name__ == "__main__":
    main()
