"""A child that is started in the way named by the first argument holds 48 MiB, at the marked line; its parent waits for it."""
import multiprocessing
import os
import subprocess
import sys


def hold(*_):
    held = bytearray(48 << 20)  # CHILD
    return len(held) >> 20


def again():
    """This file, as a program that holds."""
    return [sys.executable, os.path.abspath(__file__), "hold"]


def fork():
    child = os.fork()
    if child == 0:
        hold()
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def prefork():
    """As gunicorn does it: workers that are told to end, and do so by a signal."""
    import signal

    ready, told = os.pipe()
    workers = []
    for _ in range(2):
        worker = os.fork()
        if worker == 0:
            held = bytearray(48 << 20)  # WORKER
            os.write(told, b"x" if held else b"")
            while True:
                signal.pause()
        workers.append(worker)
    for _ in workers:
        os.read(ready, 1)
    for worker in workers:
        os.kill(worker, signal.SIGTERM)
    return [os.waitpid(worker, 0)[1] for worker in workers] == [15, 15]


def process(method):
    child = multiprocessing.get_context(method).Process(target=hold)
    child.start()
    child.join()
    return child.exitcode == 0


def executor():
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(1) as pool:
        return pool.submit(hold).result() == 48


def pool():
    with multiprocessing.get_context("fork").Pool(1) as workers:
        return workers.map(hold, [1]) == [48]


def posix_spawn():
    return os.waitpid(os.posix_spawn(sys.executable, again(), os.environ), 0)[1] == 0


def vfork():
    """close_fds=False makes way for vfork or posix_spawn, where this Python knows it."""
    return subprocess.Popen(again(), close_fds=False).wait() == 0


def shells():
    """A shell within a shell, neither of which goes on as the program."""
    line = " ".join(again())
    return subprocess.call(["sh", "-c", "sh -c '%s; :'; :" % line]) == 0


def joblib():
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=2, backend="loky")([delayed(hold)()] * 1)) == [48]


def app(environ, start_response):
    body = b"%d" % hold()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def gunicorn():
    """A server that forks its workers, one of which is asked for something."""
    import socket
    import time

    here = os.path.dirname(os.path.abspath(__file__))
    words = ["--workers=2", "--bind=unix:served", "--pythonpath", here, "starts_child:app"]
    server = subprocess.Popen([sys.executable, "-m", "gunicorn"] + words)
    client = socket.socket(socket.AF_UNIX)
    while client.connect_ex("served") != 0:
        time.sleep(0.01)
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = client.makefile("rb").read()
    server.terminate()
    return server.wait() == 0 and answer.endswith(b"48")


def dataloader():
    from torch.utils.data import DataLoader, Dataset

    class Rows(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return hold()

    return [int(batch[0]) for batch in DataLoader(Rows(), num_workers=1)] == [48]


WAYS = {
    "hold": lambda: hold() == 48,
    "fork": fork,
    "prefork": prefork,
    "multiprocessing-fork": lambda: process("fork"),
    "multiprocessing-spawn": lambda: process("spawn"),
    "multiprocessing-forkserver": lambda: process("forkserver"),
    "pool": pool,
    "executor": executor,
    "subprocess": lambda: subprocess.call(again()) == 0,
    "posix_spawn": posix_spawn,
    "vfork": vfork,
    "shells": shells,
    "joblib": joblib,
    "gunicorn": gunicorn,
    "dataloader": dataloader,
}

if __name__ == "__main__":
    assert WAYS[sys.argv[1]]()
