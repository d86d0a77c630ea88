"""Workers of a pool, started as the first argument says, each hold memory of their own at the same time, for as many seconds as the
second says."""
import multiprocessing
import sys
import time


def work(barrier):
    kept = bytearray(20 << 20)  # WORKER
    barrier.wait()
    if sys.argv[2:]:
        time.sleep(float(sys.argv[2]))
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
