"""The functions of the package, under the module name that scripts for the profiler Fil use."""

from ._scope import profile, profiled
from ._state import CallSite, current_bytes, is_recording, mark, peak_bytes, reset_peak, snapshot, top_call_sites

__all__ = [
    "CallSite",
    "current_bytes",
    "is_recording",
    "mark",
    "peak_bytes",
    "profile",
    "profiled",
    "reset_peak",
    "snapshot",
    "top_call_sites",
]
