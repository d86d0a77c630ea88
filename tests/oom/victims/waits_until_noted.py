"""Starts the program that the arguments name, with an environment of its own if the first is `clean`, until `unrecorded.json` tells
of it, with at least LEAST bytes, or a minute is over."""
import json
import os
import subprocess
import sys
import time

least = int(os.environ.get("LEAST", "0"))
environment = {} if sys.argv[1] == "clean" else None
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, env=environment)
path = os.path.join(os.environ["FIL_PROFILE_RUN"], "unrecorded.json")
deadline = time.monotonic() + 60


def is_noted():
    try:
        with open(path) as file:
            noted = json.load(file)["unseen"]
            return any(one["pid"] == child.pid and one["resident_bytes"] >= least for one in noted)
    except (OSError, ValueError):
        return False


while not is_noted() and time.monotonic() < deadline:
    time.sleep(0.02)
child.stdin.close()
print(child.pid, child.wait())
