"""`python -m filprofiler …` does what `fil-profile …` does, and runs scripts, modules and code with this interpreter."""

import os
import sys
from typing import NoReturn, Optional

from . import _program


def become(python: Optional[str]) -> NoReturn:
    program = _program.find()
    if program is None or not os.path.isfile(program):
        sys.exit("=fil-profile= cannot find the program fil-profile: it is part of the package filprofiler")
    # A --python on the command line takes precedence over the variable.
    if python:
        os.environ["FIL_PROFILE_PYTHON"] = python
    try:
        os.execv(program, ["fil-profile"] + sys.argv[1:])
    except OSError as error:
        sys.exit("=fil-profile= cannot run {}: {}".format(program, error))


def main() -> NoReturn:
    """The command `fil-profile` of a Python environment."""
    become(_program.python())


if __name__ == "__main__":
    become(sys.executable)
