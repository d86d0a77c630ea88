"""`python -m filprofiler …`: `fil-profile …`, with this interpreter for scripts, modules and code."""

import os
import sys
from typing import NoReturn, Optional

from . import _program


def become(python: Optional[str]) -> NoReturn:
    program = _program.find()
    if program is None or not os.path.isfile(program):
        sys.exit("=fil-profile= cannot find the program fil-profile: it belongs to the package filprofiler")
    # A typed --python goes before the variable.
    if python:
        os.environ["FIL_PROFILE_PYTHON"] = python
    try:
        os.execv(program, ["fil-profile"] + sys.argv[1:])
    except OSError as error:
        sys.exit("=fil-profile= cannot run {}: {}".format(program, error))


def main() -> NoReturn:
    """The command `fil-profile` of an environment."""
    become(_program.python())


if __name__ == "__main__":
    become(sys.executable)
