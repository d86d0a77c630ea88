"""So many distinct callstacks, each holding a block of 100 bytes; then one of them holds so many more, each a new peak. Ends when the
file of the third argument is there, if there is a third."""
import os
import sys
import time

import costs

count, more = int(sys.argv[1]), int(sys.argv[2])
LEVELS, CALLS = 6, 10
# Six functions that call each other from ten lines each: what is allocated below has a million ways to get there.
source = []
for level in range(LEVELS):
    source.append("def level_%d(way):\n    now, later = way %% %d, way // %d" % (level, CALLS, CALLS))
    below = "level_%d" % (level + 1) if level + 1 < LEVELS else "allocates"
    source += ["    if now == %d: return %s(later)" % (call, below) for call in range(CALLS)]
source.append("def allocates(way):\n    return bytes(100 - 33)")
exec(compile("\n".join(source), "made", "exec"))
kept = [None] * (count + more)
for number in range(count):
    kept[number] = level_0(number)  # noqa: F821
for number in range(count, count + more):
    kept[number] = level_0(0)  # noqa: F821
costs.tell(100 * (count + more))
sys.stdout.flush()
while sys.argv[3:] and not os.path.exists(sys.argv[3]):
    time.sleep(0.01)
