"""Loses workers to the OOM killer, in the way that the first argument says, and goes on. A worker says its process before it grows."""
import os
import signal
import sys
import time

way = sys.argv[1]


def grow(number=1):
    if number == 1:
        # The kernel kills this process before the parent and other workers.
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")
        if way == "cgroup":
            with open(sys.argv[2], "w") as members:
                members.write(str(os.getpid()))
        os.write(1, b"worker %d\n" % os.getpid())
        kept = []
        while True:
            kept.append(bytearray(b"w") * (1 << 20))  # WORKER
    return number


def fork_and_wait(work):
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    os.write(1, b"lost %d by %d\n" % (child, os.WTERMSIG(status)))


def wait_for_a_signal():
    while True:
        signal.pause()


def be_short():
    held = bytearray(b"s") * (80 << 20)
    del held


if __name__ == "__main__":
    # A job in the background ignores it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if way == "pool":
        import multiprocessing

        with multiprocessing.Pool(2) as pool:
            pool.map(grow, range(4), chunksize=1)
    elif way == "executor":
        from concurrent.futures import ProcessPoolExecutor

        with ProcessPoolExecutor(2) as executor:
            print(list(executor.map(grow, range(4))))
    elif way == "joblib":
        import joblib

        print(joblib.Parallel(2)(joblib.delayed(grow)(number) for number in range(4)))
    elif way == "two":
        fork_and_wait(grow)
        fork_and_wait(grow)
        wait_for_a_signal()
    elif way == "waits":
        fork_and_wait(grow)
        wait_for_a_signal()
    elif way == "until":
        fork_and_wait(grow)
        while not os.path.exists(sys.argv[2]):
            time.sleep(0.05)
    elif way == "when-told":
        worker = os.fork()
        if worker == 0:
            kept = []
            print("waiting", flush=True)
            while not os.path.exists(sys.argv[2]):
                time.sleep(0.01)
            while True:
                kept.append(bytearray(b"w") * (1 << 20))
        # Beside this, no process of the job is as large as the limit.
        held = bytearray(b"h") * (110 << 20)
        os.waitpid(worker, 0)
    elif way == "many":
        for _ in range(12):
            fork_and_wait(grow)
    elif way == "before-many":
        held = bytearray(b"h") * (40 << 20)
        fork_and_wait(grow)
        # Each of these has a higher peak than the one that was killed.
        del held
        for _ in range(90):
            fork_and_wait(be_short)
    else:
        fork_and_wait(grow)
