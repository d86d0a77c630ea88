"""The kernel proper: ipykernel with `%%filprofile`, which notes what runs and shows the report of a failed allocation."""

import json
import os
import time
from typing import Any, Dict, List, Optional

from . import _picture, _say, notebook
from ._report import VIEW

# The report of a failed allocation comes half a second after it; so long is it waited for.
PATIENCE = 10.0


def run(arguments: List[str], note: str) -> None:
    from ipykernel.kernelapp import IPKernelApp

    # ipykernel ends with its parent, which is fil-profile.
    if "JPY_PARENT_PID" in os.environ:
        os.environ["JPY_PARENT_PID"] = str(os.getppid())
    # As with `python -m ipykernel`: modules are looked for in the notebook's folder.
    app: Any = IPKernelApp.instance()
    app.initialize(arguments)
    Kernel(app.shell, note).attend()
    app.start()


class Kernel:
    """What goes on in the kernel's shell."""

    def __init__(self, shell: Any, note: str) -> None:
        self._shell, self._note = shell, note
        self._run = os.environ.get("FIL_PROFILE_RUN", "")
        self._began = time.time()

    def attend(self) -> None:
        notebook.load(self._shell)
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)
        self._write({})
        # A cell has its name just before it runs.
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
        """The message that asked for the cell."""
        try:
            parent = self._shell.kernel.get_parent("shell")
        except (AttributeError, TypeError):
            parent = getattr(self._shell, "parent_header", {})
        return dict(parent or {})

    def _note_cells(self) -> None:
        """For the report on the kernel's end, whatever that will be."""
        try:
            with open(os.path.join(self._run, VIEW + ".new"), "w", encoding="utf-8") as file:
                json.dump({"sources": notebook.cells(self._shell)}, file)
            os.replace(os.path.join(self._run, VIEW + ".new"), os.path.join(self._run, VIEW))
        except (OSError, MemoryError):
            # A report with other names is still a report.
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
            _say.say("no allocation failed in this cell; the run so far: {}".format(self._run))

    def _failed(self) -> Optional[Dict[str, Any]]:
        """The report of an allocation that has failed in this cell, once it is complete."""
        picture = os.path.join(self._run, "out-of-memory.svg")
        try:
            if os.stat(picture).st_mtime < self._began:
                return None
        except OSError:
            return None
        return _picture.bundle(self._run, self._began + 1)
