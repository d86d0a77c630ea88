"""Three lines in turn build trees below the same functions, with generators and exceptions between."""
import json
import sys
import threading

depth = int(sys.argv[1])
sys.setrecursionlimit(10 ** 6)
threading.stack_size(512 << 20)
truth = {}


def build(levels):
    if levels == 0:
        return None
    if levels % 50 == 0:
        return next(in_generator(levels))
    if levels % 33 == 0:
        try:
            raise ValueError
        except ValueError:
            return (bytearray(3000), build(levels - 1))
    return (bytearray(3000), build(levels - 1))


def in_generator(levels):
    yield (bytearray(3000), build(levels - 1))


def main():
    kept = []
    for turn in range(20):
        kept.append(build(depth))  # FIRST
        kept.append(build(depth))  # SECOND
        if turn % 2:
            kept.append(build(depth))  # THIRD
    truth.update(FIRST=20, SECOND=20, THIRD=10)
    for tree in kept:
        while tree is not None:
            tree = tree[1]
    print(json.dumps({name: count * depth * (3000 + sys.getsizeof(bytearray()) + 64) for name, count in truth.items()}))
    while kept:
        tree = kept.pop()
        while tree is not None:
            tree = tree[1]


thread = threading.Thread(target=main)
thread.start()
thread.join()
