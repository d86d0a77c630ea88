"""Measures one command from its start to its end, or until its time limit."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

LAUNCH = Path(__file__).parent / "launch.py"
# The environment variables that commands get. There are few, so that the set-up of the machine does not change the figures. For example,
# OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE, an old workaround that some machines still have, make numpy slow.
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


class Failed(Exception):
    """There is no figure; the message says why."""


def environment(**more):
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # With a fixed seed, sets of strings have the same order in every run.
    return {**passed, "PYTHONHASHSEED": "0", **more}


def run(command, folder, bound, env, cgroup=None, whole_tree=False):
    """Runs the command in `folder`, and returns its costs as a dict. Raises Failed if it takes longer than the bound."""
    result, stdout, stderr = (folder / name for name in ("cost.json", "stdout", "stderr"))
    result.unlink(missing_ok=True)
    small = [sys.executable, "-I", "-S", str(LAUNCH), str(result), str(stdout), str(stderr), str(cgroup or "")]
    launched = subprocess.Popen(
        [*small, *map(str, command)], cwd=folder, env=env, start_new_session=True, stdin=subprocess.DEVNULL
    )
    watcher = Tree(launched.pid) if whole_tree else None
    try:
        launched.wait(bound)
    except subprocess.TimeoutExpired:
        raise Failed(f"took more than {bound:.0f} s") from None
    finally:
        if watcher:
            watcher.stop()
        # Ends processes that the command has left running, and the command itself if we are interrupted.
        end_session(launched.pid)
        launched.wait()
    # Something else on the machine has ended it: there is no figure, and the benchmark continues.
    if launched.returncode != 0:
        raise Failed(f"what measures it ended with status {launched.returncode}")
    cost = json.loads(result.read_text())
    if watcher:
        cost["tree_pss"] = watcher.most
    return cost


def session_of(session):
    """The running processes of a session: everything that the command started, in whichever process group."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                state, _, _, its_session = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(its_session) == session and state not in "ZX":
                yield int(entry)


def end_session(session):
    """Kills the processes and waits until they are gone, so that the next command has the machine for itself."""
    deadline = time.monotonic() + 10
    while (left := list(session_of(session))) and time.monotonic() < deadline:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)


class Tree(threading.Thread):
    """Adds up the memory of a session's processes every few milliseconds, as PSS: each shared page is divided among its processes."""

    def __init__(self, session):
        super().__init__(daemon=True)
        self.session, self.most, self.ended = session, 0, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.02):
            self.most = max(self.most, sum(map(proportional_set, session_of(self.session))))

    def stop(self):
        self.ended.set()
        self.join()


def proportional_set(pid):
    try:
        text = Path("/proc", str(pid), "smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)


def work_line(stdout):
    """What the program printed about its work: the last line that is a JSON object with its seconds."""
    for line in reversed(stdout.read_text(errors="replace").splitlines()):
        if line.startswith("{") and '"seconds"' in line:
            try:
                return json.loads(line)
            except ValueError:
                continue
    return None


def bytes_on_disk(paths):
    """The bytes on disk that files take. A file with holes takes less than its length."""
    return sum(path.lstat().st_blocks * 512 for path in paths if path.is_file() and not path.is_symlink())

def last_words(stderr):
    """The last line of the file, without the path of the repository."""
    lines = [line.strip() for line in stderr.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].replace(str(stderr.parent), "…")[:160] if lines else "nothing on stderr"
