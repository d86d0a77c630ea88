"""Four workers read what they inherit, which copies it page by page; those that are not killed say how much they have of their own, and
wait until the file of the argument is there. The first process says which were killed."""
import os
import sys
import time

inherited = [("item-%d" % number, number * 1.5) for number in range(500000)]  # INHERITED


def private():
    with open("/proc/self/smaps_rollup") as sums:
        sizes = dict(line.split(":") for line in sums if ":" in line and "[" not in line)
    return int(sizes["Private_Dirty"].split()[0]) << 10


def work():
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("500")
    total = 0
    for item in inherited:
        total += item[1]
    os.write(1, b"private %d %d\n" % (os.getpid(), private()))
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    os._exit(0)


workers = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        work()
    workers.append(child)
while workers:
    child, status = os.wait()
    workers.remove(child)
    if os.WIFSIGNALED(status):
        os.write(1, b"lost %d\n" % child)
