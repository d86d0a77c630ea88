"""Records a part of a program: one call, or one block.

The report leaves out the frames above the call from this file: see `view`.
"""

import atexit
import contextlib
import functools
import inspect
import os
import shutil
import tempfile
import time
import warnings
from types import CodeType
from typing import Any, Callable, Dict, Optional, Type, TypeVar, Union, cast

from . import _library, _report, _say

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

# Returns how a report is to be shown. It is called when the report is written.
View = Callable[[], Dict[str, Any]]

_folder: Optional[str] = None


def view() -> Dict[str, Any]:
    """Makes the functions that this file calls the roots of the flame graph."""
    # Not __file__: in a frozen program, the file name of the code is another one.
    return {"below": view.__code__.co_filename}


class Window:
    """Records what grows in this process until `close`."""

    def __init__(self) -> None:
        self._library = _library.loaded()
        self._process = os.getpid()
        self.began = time.time()
        self.number = self._library.open(_scratch())

    def peak_bytes(self) -> int:
        """The highest total in the window minus the total before it, in bytes; -1 if that is not known."""
        return int(self._library.window_peak(self.number)) if self.is_ours() else -1

    def is_ours(self) -> bool:
        """Whether this process opened the window. A forked child process does not have the windows of its parent."""
        return self._process == os.getpid()

    def close(self) -> None:
        if self.is_ours():
            self._library.close(self.number)


def _scratch() -> str:
    """A temporary folder for the recording, removed when this process ends. If the process is recorded already, the path is not used."""
    global _folder
    if _library.loaded().is_recording():
        return "/"
    if _folder is None:
        _folder = tempfile.mkdtemp(prefix="fil-profile-")
        atexit.register(_clear, _folder, os.getpid())
    return _folder


def _clear(folder: str, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


class profiled(contextlib.ContextDecorator):
    """Records a block, or every call of a function, and writes the report into the folder `path`.

    As a context manager::

        with filprofiler.profiled("report"):
            load()

    and as a decorator, also of coroutine functions; each call replaces the report of the one before::

        @filprofiler.profiled("report")
        def load(): ...

    Exceptions pass through, and the report is written all the same. It includes what other threads allocate meanwhile.

    :raises RuntimeError: without fil-profile; :raises OSError: if the folder cannot be made.
    """

    def __init__(self, path: Union[str, "os.PathLike[str]"], view: View = dict) -> None:
        self._path = os.fspath(path)
        self._view = view
        self._window: Optional[Window] = None
        self._folder = ""

    def __enter__(self) -> "profiled":
        self._folder = _report.prepare(self._path)
        self._window = Window()
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Any) -> None:
        window, self._window = self._window, None
        if window is None or not window.is_ours():
            return
        try:
            _report.write(self._folder, window.number, self._view(), window.began)
        except (OSError, RuntimeError, ValueError) as trouble:
            # A failed report must not replace the result of the program's own code.
            warnings.warn(_say.printable("no report in {}: {}".format(self._folder, trouble)), RuntimeWarning, stacklevel=2)
        finally:
            window.close()

    def __call__(self, function: F) -> F:
        path, shown = self._path, self._view

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with profiled(path, shown):
                    return await function(*args, **kwargs)

            return cast(F, awaited)

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with profiled(path, view if shown is dict else shown):
                return function(*args, **kwargs)

        return cast(F, called)


def profile(callable: Callable[[], T], path: Union[str, "os.PathLike[str]"]) -> T:
    """Calls `callable`, records only this call, writes the report into the folder `path`, and returns the result.

    Exceptions pass through, and the report is written all the same.

    :raises RuntimeError: without fil-profile; :raises OSError: if the folder cannot be made.
    """
    with profiled(path, view):
        return callable()


def execute(body: CodeType, value: Optional[CodeType], namespace: Dict[str, Any], path: str, shown: View) -> Any:
    """Runs `body` as a notebook runs a cell, and records only that. Returns the result of `value`, the cell's last expression."""
    __tracebackhide__ = True
    with profiled(path, shown):
        exec(body, namespace)
        return None if value is None else eval(value, namespace)
