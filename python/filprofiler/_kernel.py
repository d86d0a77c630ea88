"""The job of the Jupyter kernel: ipykernel with `%%filprofile`. It notes which cell runs, and shows the report of a failed allocation."""

import json
import os
import time
from typing import Any, Dict, List, Optional

from . import _picture, _say, notebook
from ._folder import VIEW

# Seconds to wait for the report of a failed allocation, which usually takes half a second.
PATIENCE = 10.0


def run(arguments: List[str], note: str) -> None:
    from ipykernel.kernelapp import IPKernelApp

    # ipykernel ends when this process is gone. Its parent is now fil-profile, not Jupyter.
    if "JPY_PARENT_PID" in os.environ:
        os.environ["JPY_PARENT_PID"] = str(os.getppid())
    # As `python -m ipykernel` does: Python looks for modules in the notebook's folder.
    app: Any = IPKernelApp.instance()
    app.initialize(arguments)
    Kernel(app.shell, note).attend()
    app.start()


class Kernel:
    """Follows what the kernel's shell executes."""

    def __init__(self, shell: Any, note: str) -> None:
        self._shell, self._note = shell, note
        self._run = os.environ.get("FIL_PROFILE_RUN", "")
        self._began = time.time()

    def attend(self) -> None:
        notebook.load(self._shell)
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)
        self._write({})
        # Only from here on is the name known that Python has for the cell.
        compiler, cache = self._shell.compile, self._shell.compile.cache

        def cache_and_note(*args: Any, **kwargs: Any) -> Any:
            name = cache(*args, **kwargs)
            self._note_cells()
            return name

        compiler.cache = cache_and_note

    def _before(self, *_: Any) -> None:
        self._began = time.time()
        self._write(self._parent())

    def _parent(self) -> Dict[str, Any]:
        """The Jupyter message that requested the cell."""
        try:
            parent = self._shell.kernel.get_parent("shell")
        except (AttributeError, TypeError):
            parent = getattr(self._shell, "parent_header", {})
        return dict(parent or {})

    def _note_cells(self) -> None:
        """Saves the names and texts of the cells, so that a report on the end of the kernel can show them."""
        try:
            with open(os.path.join(self._run, VIEW + ".new"), "w", encoding="utf-8") as file:
                json.dump({"sources": notebook.cells(self._shell)}, file)
            os.replace(os.path.join(self._run, VIEW + ".new"), os.path.join(self._run, VIEW))
        except (OSError, MemoryError):
            # The report then has Python's own names for the cells.
            pass

    def _write(self, parent: Dict[str, Any]) -> None:
        header = {key: parent[key] for key in ("header", "parent_header", "metadata") if key in parent}
        text = json.dumps({"run": self._run, "parent": header}, default=str)
        new = self._note + ".new"
        with open(new, "w") as file:
            file.write(text)
        os.replace(new, self._note)

    def _after(self, result: Any = None) -> None:
        if not isinstance(getattr(result, "error_in_exec", None), MemoryError):
            return
        try:
            self._show_failed()
        except MemoryError:
            _say.say("no memory is left to show the report: {}/index.html".format(self._run))

    def _show_failed(self) -> None:
        shown, deadline = None, time.monotonic() + PATIENCE
        while shown is None and time.monotonic() < deadline:
            time.sleep(0.1)
            shown = self._failed()
        if shown is not None:
            _picture.put(shown)
        else:
            _say.say("no allocation failed in this cell; the run folder: {}".format(self._run))

    def _failed(self) -> Optional[Dict[str, Any]]:
        """The report of an allocation that failed in this cell; None while it is not complete."""
        picture = os.path.join(self._run, "out-of-memory.svg")
        try:
            if os.stat(picture).st_mtime < self._began:
                return None
        except OSError:
            return None
        return _picture.bundle(self._run, self._began + 1)
