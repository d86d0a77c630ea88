"""Times the work of a workload from inside the program, and prints it as one line of JSON."""

import json
import os
import resource
import time
from pathlib import Path

# ../inputs.py makes these once, before anything is timed.
INPUTS = Path(os.environ.get("BENCH_INPUTS", "."))


def _cpu():
    """User and system seconds of this process, and of the child processes for which it has waited."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime for u in usages), sum(u.ru_stime for u in usages)


def work(function, *arguments):
    """Runs the work, and prints its times and its result. The result must be the same under every tool."""
    user, system = _cpu()
    begin = time.perf_counter()
    result = function(*arguments)
    seconds = time.perf_counter() - begin
    user_after, system_after = _cpu()
    line = {"seconds": seconds, "user": user_after - user, "system": system_after - system, "result": result}
    print("\n" + json.dumps(line), flush=True)
