"""Says from inside a process which lines of its code hold its memory.

Under ``fil-profile run job.py`` everything is recorded, and these functions return what is known so far. Under
``fil-profile python job.py`` only the parts that `profile` and `profiled` run are recorded. The package can be imported
anywhere. Without fil-profile a call raises a RuntimeError that says how to start the program.

Blocks of 1 MiB and more are recorded exactly. Smaller ones are sampled, so numbers of bytes are estimates, as in the reports.
"""

from . import api
from ._scope import profile, profiled
from ._state import CallSite, current_bytes, is_recording, mark, peak_bytes, reset_peak, snapshot, top_call_sites
from ._version import __version__

__all__ = [
    "CallSite",
    "__version__",
    "api",
    "current_bytes",
    "is_recording",
    "load_ipython_extension",
    "mark",
    "peak_bytes",
    "profile",
    "profiled",
    "reset_peak",
    "snapshot",
    "top_call_sites",
]


def load_ipython_extension(shell: object) -> None:
    """Called by ``%load_ext filprofiler``: defines the magic command ``%%filprofile``."""
    from . import notebook

    notebook.load(shell)
