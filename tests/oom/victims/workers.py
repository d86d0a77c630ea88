"""Workers of a pool, started as the argument says, each hold memory of their own at the same time."""
import multiprocessing
import sys


def work(barrier):
    kept = bytearray(20 << 20)  # WORKER
    barrier.wait()
    return len(kept)


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    barrier = context.Barrier(4)
    workers = [context.Process(target=work, args=(barrier,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print([worker.exitcode for worker in workers])
