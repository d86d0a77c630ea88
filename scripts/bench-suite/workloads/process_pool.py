"""Processes: a pool of four that turn JSON into rows and back."""

import json
import multiprocessing

from work import INPUTS, work


def convert(part):
    rows = json.loads(part)
    return len(json.dumps([{**row, "twice": row["id"] * 2} for row in rows]))


def main(parts):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        total = sum(pool.imap(convert, parts, chunksize=4))
        pool.close()
        pool.join()
    return total


if __name__ == "__main__":
    work(main, [(INPUTS / "rows.json").read_text()] * 32)
