"""Recording a part of a program: one call, or one block.

The frames above a call of this file are left out of its report: see `view`.
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

# How a report is to be shown; asked when it is written.
View = Callable[[], Dict[str, Any]]

_folder: Optional[str] = None


def view() -> Dict[str, Any]:
    """What is called from here begins at the root of the graph."""
    # Not __file__: in a frozen program the code has another name.
    return {"below": view.__code__.co_filename}


class Window:
    """What grows in this process from `open` to `close`."""

    def __init__(self) -> None:
        self._library = _library.loaded()
        self._process = os.getpid()
        self.began = time.time()
        self.number = self._library.open(_scratch())

    def peak_bytes(self) -> int:
        """The most that was held beyond what was held before; -1 if that is not known."""
        return int(self._library.window_peak(self.number)) if self.is_ours() else -1

    def is_ours(self) -> bool:
        """Not in a forked child, whose windows are not those of its parent."""
        return self._process == os.getpid()

    def close(self) -> None:
        if self.is_ours():
            self._library.close(self.number)


def _scratch() -> str:
    """A folder for what has to be kept as long as the process lives, where there is no run to keep it."""
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

    Exceptions pass through, and the report is written all the same. What other threads allocate meanwhile is in it, too.

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
            # The program's own result goes first.
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
    """Calls `callable`, records just that, writes the report into the folder `path`, and returns the result.

    Exceptions pass through, and the report is written all the same.

    :raises RuntimeError: without fil-profile; :raises OSError: if the folder cannot be made.
    """
    with profiled(path, view):
        return callable()


def execute(body: CodeType, value: Optional[CodeType], namespace: Dict[str, Any], path: str, shown: View) -> Any:
    """Runs code as a cell of a notebook runs, in a report of its own; what `value` is."""
    __tracebackhide__ = True
    with profiled(path, shown):
        exec(body, namespace)
        return None if value is None else eval(value, namespace)
