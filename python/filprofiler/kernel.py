"""The Jupyter kernel "Python 3 with Fil": ipykernel under `fil-profile run`.

Jupyter starts a parent process, which starts ipykernel and waits. If ipykernel dies because it ran out of memory, the parent sends the
reason and the path of the report to the notebook, in place of the kernel. They appear below the cell that ran.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List, Optional

from . import _program, _say

# Environment variable of ipykernel: the path of the file in which it notes which cell runs.
NOTE = "FILPROFILER_KERNEL_NOTE"
# Seconds after which a kernel that was told to end, and still runs, is told again.
PATIENCE = 2.0
# The exit status of a kernel that ran out of memory under --on-oom=exit.
OOM_STATUS = 53


def main(arguments: List[str]) -> int:
    if NOTE in os.environ:
        from . import _kernel

        _kernel.run(arguments, os.environ.pop(NOTE))
        return 0
    descriptor, note = tempfile.mkstemp(prefix="fil-profile-kernel-")
    os.close(descriptor)
    try:
        return Parent(arguments, note).run()
    finally:
        os.unlink(note)


class Parent:
    """Starts ipykernel under fil-profile, and waits for its end."""

    def __init__(self, arguments: List[str], note: str) -> None:
        self._arguments, self._note = arguments, note
        self._told_at: Optional[float] = None

    def run(self) -> int:
        # Jupyter signals the whole process group. The kernel would inherit ignored signals, but not handlers.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, self._terminate)
        job = ["run", "-m", "filprofiler.kernel"] + self._arguments
        program = [_program.found(), "--no-browser", "--python", sys.executable, "-o", _output()]
        kernel = subprocess.Popen(program + job, env=dict(os.environ, **{NOTE: self._note}))
        status = self._wait(kernel)
        try:
            self._explain(status)
        except Exception as error:  # The end of the kernel must be handled in any case.
            _say.say("cannot tell the notebook: {}".format(error))
        return status if status >= 0 else 128 - status

    def _terminate(self, *_: Any) -> None:
        self._told_at = time.monotonic()

    def _wait(self, kernel: "subprocess.Popen[bytes]") -> int:
        server = os.getppid()
        while True:
            try:
                return kernel.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                was_told = self._told_at is not None and time.monotonic() - self._told_at > PATIENCE
                # If Jupyter is gone, nobody else ends the kernel.
                if was_told or os.getppid() != server:
                    kernel.terminate()
                    self._told_at = time.monotonic()

    def _explain(self, status: int) -> None:
        if self._told_at is not None:
            return
        with open(self._note) as file:
            text = file.read()
        note: Dict[str, Any] = json.loads(text) if text else {}
        report = _report(note.get("run") or "")
        outcome = report.get("outcome") or {}
        kinds = ("oom_killed_by_cgroup", "oom_killed_by_machine", "everything_killed", "allocation_failed_fatal", "crashed")
        if status == OOM_STATUS or outcome.get("kind") in kinds:
            from . import _kernel_death

            _kernel_death.publish(self._arguments, note, outcome.get("sentence") or "The kernel ran out of memory.")


def _output() -> str:
    """The folder for results: beside the notebook if that folder is writable, else a temporary one."""
    output = os.environ.get("FIL_PROFILE_OUTPUT") or os.path.abspath("fil-result")
    if os.access(os.path.dirname(os.path.abspath(output)), os.W_OK):
        return output
    return os.path.join(tempfile.gettempdir(), "fil-result-{}".format(os.getuid()))


def _report(folder: str) -> Dict[str, Any]:
    try:
        with open(os.path.join(folder, "report.json"), encoding="utf-8") as file:
            report = json.load(file)
            return report if isinstance(report, dict) else {}
    except (OSError, ValueError):
        return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
