"""Runs out in a thread; the main thread ends with status 7 after it."""
import sys
import threading


def work():
    kept = []
    while True:
        print(len(kept) << 20, flush=True)
        kept.append(bytearray(1 << 20))  # HERE


thread = threading.Thread(target=work)
thread.start()
thread.join()
sys.exit(7)
