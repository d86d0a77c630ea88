"""Threads that allocate all the time, while the main thread forks, starts programs and ends in the middle of it."""
import os
import subprocess
import sys
import threading


def work():
    while True:
        kept = [bytearray(n * 100) for n in range(100)]
        del kept


sys.setswitchinterval(0.0001)
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        kept = [bytearray(n * 100) for n in range(1000)]
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
for _ in range(5):
    subprocess.check_call([sys.executable, "-S", "-c", "x = bytearray(1 << 20)"])
# Threads that come and go.
for _ in range(5):
    threads = [threading.Thread(target=bytearray, args=(10000,)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("end")
