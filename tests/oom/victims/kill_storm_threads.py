"""Keeps one block after another in each of twelve threads, until the kernel kills it."""
import threading


def fill():
    blocks = []
    while True:
        blocks.append(bytearray(1 << 18))


threads = [threading.Thread(target=fill) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
