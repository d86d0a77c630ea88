"""`%%filprofile` for IPython and Jupyter: runs a cell, records only that cell, and shows the flame graph below it."""

import ast
import inspect
import linecache
import os
import re
import time
from typing import Any, Dict, List

from . import _library, _picture, _scope

# Folder for the reports, beside the notebook.
FOLDER = "fil-result"
WITHOUT = (
    'this kernel does not run under fil-profile. In Jupyter choose the kernel "Python 3 with Fil"; elsewhere start IPython by '
    "`fil-profile python -m IPython` or `fil-profile run -m IPython`."
)


# The code of cells with the magic command, by number of the cell: Python knows this code by another name than the cell.
_bodies: Dict[int, str] = {}


class UsageError(Exception):
    """Shown without a traceback."""

    def _render_traceback_(self) -> List[str]:
        return ["%%filprofile: " + str(self)]


def load(shell: Any) -> None:
    """Adds the magic command to the shell."""


    def filprofile(line: str, cell: str) -> Any:
        """Runs the cell, records only that cell, and shows the flame graph. %%filprofile [FOLDER]"""
        __tracebackhide__ = True
        return run_cell(shell, line, cell)

    shell.register_magic_function(filprofile, "cell", "filprofile")


def run_cell(shell: Any, line: str, cell: str) -> Any:
    """Runs the cell as it would run without the magic command: its variables stay, and its last expression is its result.

    `line` can name the folder for the report.
    """
    __tracebackhide__ = True
    if _library.find() is None:
        raise UsageError(WITHOUT)
    number = _number(shell)
    folder = line.strip().strip("'\"") or _folder(number)
    # For the user, the line with the magic command is line 1.
    source, code = "\n" + cell, "\n" + shell.transform_cell(cell)
    name = _name(shell, number, code, source)
    _bodies[number] = code
    tree = shell.transform_ast(shell.compile.ast_parse(code, name))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    flags = shell.compile.flags
    body = compile(tree, name, "exec", flags, True)
    value = None if last is None else compile(ast.Expression(last.value), name, "eval", flags, True)
    began = time.time()
    try:
        return _scope.execute(body, value, shell.user_ns, folder, lambda: dict(_scope.view(), sources=cells(shell)))
    finally:
        _picture.show(folder, began)


def cells(shell: Any) -> Dict[str, Dict[str, str]]:
    """For each cell that has run, by the file name that Python has for it: the name that users know, and the text."""
    numbers: Dict[str, Any] = getattr(shell.compile, "_filename_map", {})
    found = {}
    for name in list(linecache.cache):
        # Older versions of IPython have the number in the file name.
        match = re.match(r"<ipython-input-(\d+)-", name)
        number = numbers.get(name, match.group(1) if match else None)
        if number is not None:
            text = "".join(linecache.getlines(name))
            if text.startswith("get_ipython().run_cell_magic("):
                text = _bodies.get(int(number), text)
            found[name] = {"name": "In [{}]".format(number), "text": text}
    return found


def _number(shell: Any) -> int:
    """The number of the cell that runs."""
    numbers: Dict[str, Any] = getattr(shell.compile, "_filename_map", {})
    frame = inspect.currentframe()
    while frame is not None:
        number = numbers.get(frame.f_code.co_filename)
        if number is not None:
            return int(number)
        frame = frame.f_back
    return int(shell.execution_count)


def _name(shell: Any, number: int, code: str, source: str) -> str:
    """The file name that IPython gives to this code. IPython then keeps the text for tracebacks."""
    try:
        return str(shell.compile.cache(code, number, raw_code=source))
    except TypeError:
        return str(shell.compile.cache(code, number))


def _folder(number: int) -> str:
    """A path that does not exist yet: a cell can run twice within a second."""
    stem = os.path.join(FOLDER, time.strftime("cell-%Y-%m-%dT%H%M%S-In-{}".format(number)))
    folder, again = stem, 1
    while os.path.exists(folder):
        again += 1
        folder = "{}-{}".format(stem, again)
    return folder
