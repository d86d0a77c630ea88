"""As many small objects as its argument says, for counting the instructions of each; 50 MiB are held meanwhile."""
import sys


def make(count):
    for _ in range(count):
        object()


held = bytearray(50 << 20)
make(int(sys.argv[1]))
