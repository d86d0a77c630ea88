"""A notebook in which a cell runs out of address space and later cells work, with the Fil kernel and without. Run in an empty folder."""

import resource
import subprocess
import sys

from notebook import execute, has_graph, text

# In KiB, as for `ulimit -Sv`: enough for the threads of a kernel.
LIMIT = 1_600_000

# Ways to fill the address space, which leave different amounts free.
FILLS = [
    "held = []\nwhile True: held.append(bytearray(1 << 20))",
    "held = []\nwhile True: held.append(bytearray(16 << 20))",
    "held = []\nwhile True: held.append([0] * 4096)",
    "def fill():\n    held = []\n    while True: held.append(bytearray(300 << 10))\nfill()",
]


def main():
    for number, fill in enumerate(FILLS):
        for kernel in ("python3", "filprofile"):
            cells = ["1 + 1", fill, "print('goes on')", "held = None", "2 + 2"]
            try:
                first, filled, on, _, last = execute("{}-{}.ipynb".format(kernel, number), kernel, cells)
            except subprocess.CalledProcessError as died:
                sys.exit("{} died of {!r}:\n{}".format(kernel, fill, died.stderr.decode()))
            # Without Fil, even the next cell may not have enough room.
            if kernel == "filprofile":
                assert any(output.get("ename") == "MemoryError" for output in filled), filled
                assert any(has_graph(output) for output in filled), filled
                assert text(on[0]) == "goes on\n" and text(last[0]) == "4", (on, last)
            assert text(first[0]) == "2"
    print("{} notebooks ran out of memory and went on".format(len(FILLS)))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT * 1024, resource.getrlimit(resource.RLIMIT_AS)[1]))
    main()
