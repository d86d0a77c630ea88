"""A notebook whose cell runs out of address space and whose later cells go on, with the Fil kernel and without; run in an empty folder."""

import resource
import subprocess
import sys

from notebook import execute, has_graph, text

# As `ulimit -Sv` has it, in KiB: enough for the threads that a kernel starts with.
LIMIT = 1_600_000

# Ways to fill it: what is left at the end differs.
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
            # Without Fil, not even the next cell may have room enough.
            if kernel == "filprofile":
                assert any(output.get("ename") == "MemoryError" for output in filled), filled
                assert any(has_graph(output) for output in filled), filled
                assert text(on[0]) == "goes on\n" and text(last[0]) == "4", (on, last)
            assert text(first[0]) == "2"
    print("{} notebooks ran out of memory and went on".format(len(FILLS)))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT * 1024, resource.getrlimit(resource.RLIMIT_AS)[1]))
    main()
