# Holds memory by the main thread, by a thread, and in a child that is killed; then a request fails. Says what each line holds.
import os
import signal
import sys
import threading

MIB = 1 << 20


def keep():
    return bytearray(30 * MIB)  # MAIN


def small_objects():
    return [str(number) * 9 for number in range(100_000, 300_000)]  # OBJECTS


def in_thread(kept):
    kept.append(bytearray(40 * MIB))  # THREAD


kept = [keep(), small_objects()]
thread = threading.Thread(target=in_thread, args=(kept,))
thread.start()
thread.join()
child = os.fork()
if child == 0:
    more = bytearray(50 * MIB)  # CHILD
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(child, 0)
print(sum(map(sys.getsizeof, kept[1])) + sys.getsizeof(kept[1]), flush=True)
if sys.argv[1:] == ["grow"]:
    while True:
        kept.append(bytearray(MIB))  # LIMIT
try:
    bytearray(10**17)  # REQUEST
except MemoryError:
    print("MemoryError")
