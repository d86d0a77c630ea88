"""Holds memory, says so, and from then on takes and gives back blocks of every size in three threads until it is killed."""
import random
import threading


def churn():
    kept = {}
    while True:
        kept[random.randrange(200)] = bytes(random.choice((10, 100, 1000, 100000, 2000000)))


held = bytearray(20 << 20)  # HERE
for _ in range(2):
    threading.Thread(target=churn, daemon=True).start()
print("holding", flush=True)
churn()
