"""Many lines hold known shares of so many MiB: each is a line of the made-up file `sites`, numbered as in what it tells at the end.

`even SITES MIB`: all hold as much as any other, in blocks of 80 bytes. `mixed MIB`: shares from 1 % up, in blocks of 60 bytes to
30 KB and of 2 MiB; half of what was made is given back on the way.
"""
import json
import sys

# (percent of all, bytes of a block)
MIXED = [(1, 60), (1, 80), (1, 150), (1, 400), (1, 600), (1, 3000), (2, 70), (2, 200), (2, 511), (2, 513), (2, 1000), (2, 10000)]
MIXED += [(5, 100), (5, 500), (5, 2000), (5, 30000), (10, 90), (10, 300), (20, 120)]
LARGE = 2 << 20
PIECES = 10


def maker(size, blocks):
    """A function in C that makes so many texts, each a block of about so many bytes."""
    return ("x" * (size - 50) + " ").__mul__(blocks).split


def main():
    if sys.argv[1] == "even":
        sites = [(100 / int(sys.argv[2]), 80)] * int(sys.argv[2])
    else:
        sites = MIXED
    total = int(sys.argv[-1]) << 20
    makers = [maker(size, max(1, int(total * share / 100 / PIECES / (size + 8)))) for share, size in sites]
    kept = [None] * (len(sites) * PIECES)
    blocks = [None] * (total // 5 // LARGE)
    names = {"kept": kept, "makers": makers, "blocks": blocks, "large": LARGE - sys.getsizeof(b"")}
    lines = [
        compile("\n" * number + "kept[at + %d] = makers[%d]()" % (number, number), "sites", "exec")
        for number in range(len(sites))
    ]
    # Exact, whatever the sampling.
    one_more = compile("\n" * len(sites) + "blocks[number] = bytes(large)", "sites", "exec")
    freelist = [[] for _ in range(100)]  # noqa: F841
    for piece in range(PIECES):
        names["at"] = piece * len(sites)
        for number, line in enumerate(lines):
            exec(line, names)
            if sys.argv[1] == "mixed" and piece % 2:
                half = kept[names["at"] - len(sites) + number]
                half[::2] = [None] * len(half[::2])
    if sys.argv[1] == "mixed":
        for names["number"] in range(len(blocks)):
            exec(one_more, names)
    # The highest total is now, and no chance in it.
    last = bytearray(total // 4)  # noqa: F841
    truth = {}
    for number in range(len(sites)):
        texts = [text for part in kept[number :: len(sites)] for text in [part] + part if text is not None]
        truth[number + 1] = sum(map(sys.getsizeof, texts))
    if sys.argv[1] == "mixed":
        truth[len(sites) + 1] = sum(map(sys.getsizeof, blocks))
    print(json.dumps(truth))


main()
