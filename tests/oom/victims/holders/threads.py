"""Each thread has its own frames and data."""

import threading
import time

import truth

local = threading.local()


def work(number, has_begun):
    mine = [bytes(1000) for _ in range(1000 * number)]
    local.kept = [bytes(1000) for _ in range(500)]
    has_begun.set()
    time.sleep(600)
    return mine


def hold():
    main = [bytes(1000) for _ in range(4000)]
    for number in (1, 2):
        has_begun = threading.Event()
        threading.Thread(target=work, args=(number, has_begun), daemon=True).start()
        has_begun.wait()
    for row in [bytes(2000) for _ in range(1000)]:
        break_at = len(row)
        del row
        truth.wait()


hold()
