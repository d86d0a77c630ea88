"""Ends in the way that its argument names."""
import os
import sys

how = sys.argv[1]
if how.startswith("status="):
    sys.exit(int(how[7:]))
if how.startswith("_exit="):
    os._exit(int(how[6:]))
if how.startswith("signal="):
    os.kill(os.getpid(), int(how[7:]))
if how == "message":
    sys.exit("a last word")
if how == "exception":
    raise ValueError("a mistake")
if how == "fault":
    import ctypes

    ctypes.string_at(0)
