"""Which lines of code hold the memory of this process, asked from inside.

Under ``fil-profile run job.py`` everything is recorded, and these functions say what is known so far. Under
``fil-profile python job.py`` nothing is, but for what `profile` and `profiled` are asked for. The package can be imported
anywhere; a call without fil-profile is a RuntimeError that says how to start it.

Blocks of 1 MiB and more are always recorded exactly, small ones are sampled: numbers of bytes are estimates, as in the reports.
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
    """For ``%load_ext filprofiler``, which gives ``%%filprofile``."""
    from . import notebook

    notebook.load(shell)
