"""Truncates its own recording, then allocates at many lines and in threads, forks, and ends with 7."""
import glob
import os
import sys
import threading
import warnings

kept = [bytearray(1 << 20) for _ in range(20)]
how = sys.argv[1]
for file in glob.glob(os.environ.get("FIL_PROFILE_RUN", "/nonexistent") + "/*.recording"):
    if how == "half":
        os.truncate(file, os.path.getsize(file) // 2)
    elif how == "nothing":
        os.truncate(file, 0)
    elif how == "overwritten":
        open(file, "w").close()
    elif how == "removed":
        os.remove(file)
    elif how == "replaced":
        other = file + ".other"
        with open(other, "wb") as made:
            made.write(b"another's" * 100)
        os.rename(other, file)
    elif how == "a folder":
        os.remove(file)
        os.mkdir(file)


def allocate():
    namespace = {}
    for number in range(300):
        exec("\n" * number + "def f%d():\n  return [str(j) * 7 for j in range(400)]" % number, namespace)
        kept.append(namespace["f%d" % number]())
        bytearray(3 << 20)


threads = [threading.Thread(target=allocate) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
# From 3.12 on there is a warning if the system has not yet taken a thread away that was joined.
warnings.simplefilter("ignore", DeprecationWarning)
child = os.fork()
if child == 0:
    allocate()
    os._exit(3)
assert os.waitpid(child, 0)[1] == 3 << 8
for file in glob.glob(os.environ.get("FIL_PROFILE_RUN", "/nonexistent") + "/*.recording"):
    if how == "replaced" and "-0." in file and str(os.getpid()) in file:
        assert os.path.getsize(file) == 900, os.path.getsize(file)
print(len(kept))
sys.exit(7)
