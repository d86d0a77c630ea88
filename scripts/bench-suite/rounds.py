"""Runs one workload under every tool, in rounds. Each round has every tool once, so that other work on the machine affects all tools."""

import shutil
from typing import Any

from measure import Failed, bytes_on_disk, environment, last_words, run, work_line
from tools import PLAIN


def run_workload(workload, tools, bench, rounds, bound, say):
    """Returns for each tool a list of costs, one for each round, or the reason why there is none.

    If there is more than one round, a round that does not count comes first. It fills the caches, finds out which tools fail, and
    measures the memory of all processes together.
    """
    measured: dict[str, dict[str, Any]] = {tool.name: {"rounds": []} for tool in tools}
    for tool in tools:
        try:
            tool.check()
        except Failed as failed:
            measured[tool.name] = {"failed": str(failed)}
    first = 0 if rounds > 1 else 1
    for number in range(first, rounds + 1):
        said = []
        # The order of the tools changes from round to round.
        start = number % len(tools)
        for tool in tools[start:] + tools[:start]:
            entry = measured[tool.name]
            if "failed" in entry:
                continue
            watched, last = workload.processes and number == first, number == rounds
            try:
                cost = run_once(workload, tool, bench, bound, whole_tree=watched, report=last)
                if watched:
                    entry["tree_pss"] = cost["tree_pss"]
                if number > 0:
                    entry["rounds"].append(cost)
                said.append(f"{tool.name} {cost['wall']:.2f}")
            except Failed as failed:
                entry["failed"] = str(failed)
                said.append(f"{tool.name} FAILED: {failed}")
        say(f"{workload.name} {number}/{rounds}: " + ", ".join(said))
    return compared(measured)


def run_once(workload, tool, bench, bound, whole_tree, report):
    out = bench.scratch / "out"
    shutil.rmtree(bench.scratch, ignore_errors=True)
    out.mkdir(parents=True)
    env = environment(BENCH_INPUTS=str(bench.inputs))
    cost = run(tool.command(bench, out, workload.command), bench.scratch, bound, env, whole_tree=whole_tree)
    if cost["status"] != 0:
        raise Failed(f"status {cost['status']}: {last_words(bench.scratch / 'stderr')}")
    cost["work"] = work_line(bench.scratch / "stdout")
    if workload.says_its_work and not cost["work"]:
        raise Failed("the program did not say that its work was done")
    cost["result"] = cost["work"].pop("result") if cost["work"] else None
    cost["data_bytes"] = bytes_on_disk(out.glob(tool.data))
    if report:
        cost["report"] = make_report(tool, bench, out, bound, env)
    cost["all_bytes"] = bytes_on_disk(out.rglob("*"))
    return cost


def make_report(tool, bench, out, bound, env):
    """The cost of the report after the program has ended. If the report fails, the figures of the run remain valid."""
    if tool.report is None:
        return {"wall": 0.0, "max_rss": 0}
    try:
        cost = run(tool.report(bench, out), bench.scratch, bound, env)
    except Failed as failed:
        return {"failed": str(failed)}
    if cost["status"] != 0:
        return {"failed": f"status {cost['status']}: {last_words(bench.scratch / 'stderr')}"}
    return {"wall": cost["wall"], "max_rss": cost["max_rss"]}


def compared(measured):
    """Marks a tool as failed if the program has another result under it than alone."""
    plain = measured.get(PLAIN, {})
    if plain.get("rounds"):
        expected = plain["rounds"][0]["result"]
        for entry in measured.values():
            if any(cost["result"] != expected for cost in entry.get("rounds", [])):
                entry["failed"] = "the program's result is another one"
    return measured
