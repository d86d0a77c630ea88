"""Keeps one block after another, of 1 MiB or of as many as its argument says, as a job that keeps every batch."""
import sys

SIZE = int(sys.argv[1]) << 20 if len(sys.argv) > 1 else 1 << 20


def read_batch():
    return bytearray(SIZE)  # HERE


def main():
    batches = []
    while True:
        print(len(batches) * SIZE, flush=True)
        batches.append(read_batch())  # CALLER


main()
