"""Makes the inputs of the workloads once, before anything is timed: random files from a fixed seed, and two libraries."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

WORKLOADS = Path(__file__).parent / "workloads"


def rows_json(folder):
    rows = [
        {"id": i, "name": f"customer {i}", "scores": [i * 0.5, i * 0.25], "nested": {"flag": i % 2 == 0, "tag": None}}
        for i in range(20_000)
    ]
    (folder / "rows.json").write_text(json.dumps(rows))


def words_txt(folder):
    source = random.Random(7)
    words = ["".join(source.choices("abcdefghijklmnop", k=source.randint(2, 10))) for _ in range(5_000)]
    lines = (" ".join(source.choices(words, k=12)) for _ in range(60_000))
    (folder / "words.txt").write_text("\n".join(lines))


def orders(folder):
    count = 1_000_000
    source = np.random.default_rng(7)
    table = pd.DataFrame(
        {
            "customer": source.integers(0, 20_000, count),
            "product": source.integers(0, 40, count),
            "price": source.random(count).round(4) * 100,
            "note": [f"note {i}" for i in source.integers(0, 100_000, count)],
        }
    )
    table.to_parquet(folder / "orders.parquet")
    table.to_csv(folder / "orders.csv", index=False)


def libraries(folder):
    shared = ["-O2", "-g", "-shared", "-fPIC", "-pthread"]
    subprocess.run(["cc", *shared, "-o", folder / "pairs.so", WORKLOADS / "pairs.c"], check=True)
    subprocess.run(["c++", *shared, "-o", folder / "containers.so", WORKLOADS / "containers.cc"], check=True)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for make in (rows_json, words_txt, orders, libraries):
        make(target)
