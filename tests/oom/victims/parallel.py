"""Eight threads run one function at once, each on lines of its own: without the GIL, each has a copy of the function's bytecode.
Prints what each line holds."""
import json
import sys
import threading

THREADS = 8
ROUNDS = 2000
start = threading.Barrier(THREADS)
kept = [[None] * ROUNDS for _ in range(THREADS)]


def generate(size):
    while True:
        yield bytes(size)  # GENERATED


def work(number, keep):
    generator = generate(700)
    start.wait()
    for at in range(ROUNDS):
        if number == 0:
            keep[at] = bytes(100)  # SMALL
        elif number == 1:
            keep[at] = bytes(600)  # MEDIUM
        elif number == 2:
            keep[at] = bytes(20000)  # LARGE
        elif number == 3:
            keep[at] = next(generator)
        elif number == 4:
            keep[at] = (number,) * 30  # TUPLE
        elif number == 5:
            exec("keep[at] = bytes(300)")
        else:
            # Two threads on one line, which lets go of each second block.
            keep[at] = bytes(50)  # SHARED
            if at % 2:
                keep[at] = None


threads = [threading.Thread(target=work, args=(number, kept[number])) for number in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
# The peak is now.
last = bytearray(8 << 20)
names = ["SMALL", "MEDIUM", "LARGE", "GENERATED", "TUPLE", "EXEC"]
held = {name: sum(map(sys.getsizeof, keep)) for name, keep in zip(names, kept)}
held["SHARED"] = sum(sys.getsizeof(block) for keep in kept[6:] for block in keep if block is not None)
print(json.dumps(held))
