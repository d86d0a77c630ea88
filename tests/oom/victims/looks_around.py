"""Says what a job can see of its surroundings; nothing of it may change."""
import gc
import os
import signal
import sys
import threading


def open_files():
    found = []
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        try:
            os.fstat(int(name))
            found.append(int(name))
        except OSError:
            pass  # The folder's own, closed by now.
    return found


ours = ("FIL_PROFILE_", "LD_PRELOAD")
print("argv", sys.argv)
print("name", __name__, __file__)
print("path", sys.path)
print("modules", sorted(sys.modules))
print("executable", sys.executable, sys.prefix)
print("flags", sys.flags)
print("trace", sys.gettrace(), sys.getprofile())
print("threading trace", threading._trace_hook, threading._profile_hook)
print("gc", gc.get_threshold(), gc.callbacks)
print("recursion", sys.getrecursionlimit())
print("switch", sys.getswitchinterval())
print("environment", sorted((k, v) for k, v in os.environ.items() if not k.startswith(ours) and k not in ("_", "PWD", "OLDPWD")))
print("directory", os.path.basename(os.getcwd()) != "", sorted(x for x in os.listdir(".") if x != "fil-result"))
print("files", open_files())
print("threads", len(os.listdir("/proc/self/task")))
print("mask", signal.pthread_sigmask(signal.SIG_BLOCK, []))
print("handlers", [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD, signal.SIGHUP)])
print("nice", os.nice(0), os.umask(0o22), os.getsid(0) != os.getpid())
print("stdin", sys.stdin.read())
sys.stdout.write("no line feed at the end")
sys.stdout.flush()
os.write(1, b"\x00\xff bytes")
sys.exit(19)
