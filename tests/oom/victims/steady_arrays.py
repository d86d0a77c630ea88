"""Keeps one block of 1 MiB after another, as a job that keeps every batch."""


def read_batch():
    return bytearray(1 << 20)  # HERE


def main():
    batches = []
    while True:
        print(len(batches) << 20, flush=True)
        batches.append(read_batch())  # CALLER


main()
